"""Run a command line: one sentence for a user's mistake, and the right exit code."""

import errno
import io
import os
import shutil
import sys
import textwrap
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import typer

from gpt2_small import binding, network
from gpt2_small.errors import MachineError, ProcessLost, UserError, shell_word

NOT_WRITTEN = 1
SOLUTION_WRONG = 1
PROCESS_LOST = 1
CANNOT_BE_USED = 2
INTERRUPTED = 130
# Seconds that the other ranks wait, so that the first can print before torchrun ends them all.
SECONDS_TO_PRINT = 0.5
# pathlib's RuntimeErrors for circular links and for the home folder of an unknown user.
UNUSABLE_PATHS = ("Symlink loop", "Could not determine home directory")


def run_command(app: typer.Typer) -> None:
    """Run a command line as `_run_command`, and exit without waiting for unfinished downloads."""
    try:
        _run_command(app)
    except SystemExit as end:
        if end.code == INTERRUPTED and (sentence := _interrupt_of(end)):
            _print_error(sentence)
        if network.is_waiting():  # Python would wait for its threads
            _end_at_once(end.code)
        raise


def _interrupt_of(error: BaseException | None) -> str:
    """The message of the KeyboardInterrupt that typer turned into an exit."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return "" if error is None else str(error)


def _end_at_once(code: str | int | None) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _run_command(app: typer.Typer) -> None:
    """Run a command line and leave with its exit code: 2 for input that cannot be used.

    A part of the solution that is not written yet ends it with exit code 1. Of the workers that
    torchrun started, rank 0 alone prints the error; errors of one machine and lost workers are
    printed by local rank 0 of each machine.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else text in another encoding ends the command
            with suppress(OSError):
                stream.reconfigure(errors="backslashreplace")
    try:
        _call(app)
    except MachineError as error:
        _say(str(error), "LOCAL_RANK")
        sys.exit(CANNOT_BE_USED)
    except UserError as error:
        _say(str(error))
        sys.exit(CANNOT_BE_USED)
    except ProcessLost as error:
        _say(str(error), "LOCAL_RANK")
        sys.exit(PROCESS_LOST)
    except NotImplementedError as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        if place.filename != binding.bound().__file__:
            raise
        _say(f"{place.filename}, line {place.lineno}: {str(error) or 'this is not written yet'}")
        sys.exit(NOT_WRITTEN)
    except PermissionError as error:
        path, reason = error.filename or "a file or port", error.strerror or error
        _say(f"{path} cannot be used ({reason}); change who may read and write it")
        sys.exit(CANNOT_BE_USED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _discard_output()
        sys.exit(1)
    except (RuntimeError, OSError) as error:
        sentence = _about_a_path(error)
        if sentence is None:
            raise
        _say(sentence)
        sys.exit(CANNOT_BE_USED)


def _call(app: typer.Typer) -> None:
    """Run a command line; an error in the user's own solution ends it with exit code 1."""
    try:
        app()
    except (MachineError, UserError, ProcessLost, NotImplementedError, BrokenPipeError):
        raise
    except Exception as error:
        sentence = _about_the_solution(error)
        if sentence is None:
            raise
        _say(sentence)
        sys.exit(SOLUTION_WRONG)


def _about_the_solution(error: Exception) -> str | None:
    """The line of the user's own solution that raised an error; None for an error elsewhere."""
    with suppress(Exception):  # the solution itself may be unusable
        solution = binding.bound()
        path = solution.__file__
        frames = traceback.extract_tb(error.__traceback__)
        own = [index for index, frame in enumerate(frames) if frame.filename == path]
        kit = str(Path(__file__).parent)
        if binding.is_reference(solution) or path is None:
            return None
        if not own:
            return _about_a_value(error, solution, path)
        if any(frame.filename.startswith(kit) for frame in frames[own[-1] + 1 :]):
            return None
        place, message = frames[own[-1]], " ".join(str(error).split())
        return (
            f"{path}, line {place.lineno}, in {place.name}: {type(error).__name__}: {message}; "
            f"gpt2-small check {shell_word(path)} judges its parts"
        )
    return None


def _about_a_value(error: Exception, solution: ModuleType, path: str) -> str | None:
    """The first part that is a value in place of a class or function, if the kit called one."""
    if not isinstance(error, TypeError) or not str(error).endswith("is not callable"):
        return None
    values = {name: vars(solution).get(name, callable) for name in binding.SOLUTION_NAMES}
    wrong = [name for name, value in values.items() if not callable(value)]
    if not wrong:
        return None
    kind = type(values[wrong[0]]).__name__
    return f"{path}: {wrong[0]} is of type {kind}; write it as a class or function"


def _about_a_path(error: RuntimeError | OSError) -> str | None:
    """The message for an unusable path or a full disk; None for another error."""
    if isinstance(error, RuntimeError):
        is_path = str(error).startswith(UNUSABLE_PATHS)
        return f"a path cannot be used ({error}); give another one" if is_path else None
    if error.errno == errno.ENOSPC:
        _discard_output()
        return "the output cannot be written, its disk is full; free some space"
    if error.filename is None:
        return None
    return f"{error.filename} cannot be used ({error.strerror}); give another path"


def _discard_output() -> None:
    """Discard buffered output, so that flushing it at exit does not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(sentence: str, rank: str = "RANK") -> None:
    """Print the sentence on rank 0; the other ranks wait for it.

    torchrun ends all workers as soon as one has exited.
    """
    _print_error(f"error: {sentence}", rank)
    if os.environ.get(rank, "0") != "0":
        time.sleep(SECONDS_TO_PRINT)


def _print_error(sentence: str, rank: str = "RANK") -> None:
    if os.environ.get(rank, "0") == "0":
        print(_wrapped(sentence), file=sys.stderr)  # noqa: T201


def _wrapped(sentence: str) -> str:
    """The sentence, wrapped between words on a terminal, so that commands in it can be copied."""
    if not sys.stderr.isatty():
        return sentence
    width = shutil.get_terminal_size().columns
    return textwrap.fill(sentence, width, break_long_words=False, break_on_hyphens=False)


def bind_solution(path: Path | None) -> None:
    """Bind the file of `--solution`; left out, $GPT2_SMALL_SOLUTION or the reference."""
    if path is None:
        binding.bound()
    else:
        binding.bind(path)
