"""The one exception that stands for a user's mistake."""


class UserError(ValueError):
    """Input that cannot be used. The message is one sentence with the value and the way out.

    Commands print the message alone and exit with code 2.
    """
