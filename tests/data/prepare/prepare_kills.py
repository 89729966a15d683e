"""Run `gpt2-small prepare` in processes that kill themselves at a chosen call.

One Python loads the command once, and forks a process for each case.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

PROGRAM = """
import contextlib, json, os, sys, traceback
import gpt2_small.commands.screens.prepare_view
from gpt2_small import cli
from gpt2_small.data import prepare, unfinished_folder
from gpt2_small.data.corpora import corpus
from gpt2_small.data.shards import shard_writer

corpus.PIECE_CHARACTERS, prepare.BATCH_CHARACTERS, prepare.BATCH_PIECES = 100, 300, 7
prepare.SAVE_SECONDS = prepare.prepare.__kwdefaults__["save_seconds"] = 0
os.fsync = lambda handle: None
OWNERS = {"writer": shard_writer.SplitWriter, "state": unfinished_folder.UnfinishedFolder}

def end_at_a_call(where, name, number, signum):
    whole, calls = getattr(OWNERS[where], name), 0

    def counted(self, *arguments, **keywords):
        nonlocal calls
        calls += 1
        if calls == number:
            import multiprocessing
            print("children", *(child.pid for child in multiprocessing.active_children()))
            sys.stdout.flush()
            os.kill(os.getpid(), signum)
        result = whole(self, *arguments, **keywords)
        if calls == -number:
            os.kill(os.getpid(), signum)
        return result

    setattr(OWNERS[where], name, counted)

for line in sys.stdin:
    case = json.loads(line)
    pid = os.fork()
    if pid == 0:
        for stream, number in (("out", 1), ("err", 2)):
            os.dup2(os.open(case[stream], os.O_WRONLY | os.O_CREAT), number)
        end_at_a_call(*case["call"], case["signal"])
        sys.argv = ["gpt2-small", "prepare", *case["arguments"]]
        code = 1
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Ended(NamedTuple):
    """A process's exit code or minus a signal, and its output."""

    code: int
    out: str
    err: str


class Kills:
    """A Python process that has imported the command and forks a process for each case."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._made = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "COLUMNS": "80"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, call: tuple[str, str, int], by: int, *arguments: object) -> Ended:
        """Prepare with these arguments, and kill the process before the call with this number.

        call: the owner (`writer` or `state`), the method, and the number of the call; a negative
        number means after the call.
        """
        self._made += 1
        files = [str(self._folder / f"{self._made}.{name}") for name in ("out", "err")]
        case: dict[str, Any] = {"call": call, "signal": int(by), "out": files[0], "err": files[1]}
        assert self._process.stdin
        assert self._process.stdout
        print(
            json.dumps({**case, "arguments": list(map(str, arguments))}),
            file=self._process.stdin,
            flush=True,
        )
        code = int(self._process.stdout.readline())
        return Ended(code, *(Path(file).read_text() for file in files))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()
