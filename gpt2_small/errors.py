"""The exceptions whose message is all that a user is told."""


class UserError(ValueError):
    """Input that cannot be used. The message is one sentence with the value and the way out.

    Commands print the message alone and exit with code 2.
    """


class MachineError(UserError):
    """A user's mistake on one machine of several, each of which tells its own."""


class ProcessLost(Exception):
    """Another process of a training is gone. The message is one sentence.

    Commands print the message alone, once on each machine, and exit with code 1.
    """
