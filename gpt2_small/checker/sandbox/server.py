"""Start the judge and the forker, with torch imported once for both.

`python -m gpt2_small.checker.sandbox.server N [PART ...]`, started by `client.Checker`, which
exchanges messages with the judge through the socket of descriptor N. The modules of the parts'
claims are imported for both too. This process forks the children and runs no checked file itself.
"""

import os
import signal
import socket
import sys
from collections.abc import Sequence

import torch

from gpt2_small.checker.claims import all_claims
from gpt2_small.checker.sandbox import forker
from gpt2_small.checker.sandbox.limits import close_to_others


def main(descriptor: int, parts: Sequence[str] = ()) -> None:
    """Fork the judge, then its children until it ends."""
    client = socket.socket(fileno=descriptor)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    # Imported once, before the first fork.
    forker.import_for([claim for claim in all_claims() if claim.component in parts])
    here, there = socket.socketpair()
    judge = os.fork()
    if judge == 0:
        here.close()
        be_the_judge(client, there)
    client.close()
    there.close()
    close_to_others()
    forker.serve(here, judge)
    os.wait()


def be_the_judge(client: socket.socket, forker: socket.socket) -> None:
    """Answer the client in this process, and exit."""
    from gpt2_small.checker.sandbox import verdicts

    try:
        verdicts.serve(client, forker)
    except BrokenPipeError:
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
