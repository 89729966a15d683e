"""Request checks of untrusted files from a server.

`Checker` starts the server, which imports torch once and then forks a process for each part, with
limits of time and memory and with captured output. This is no sandbox against malice: the file runs
with the user's rights.
"""

import ast
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from gpt2_small import binding, notebooks
from gpt2_small.checker import exercise_set, exercise_sets
from gpt2_small.checker.exercise_set import ExerciseSet
from gpt2_small.checker.sandbox.messages import read_frame, write_frame
from gpt2_small.checker.sandbox.task import Limits
from gpt2_small.checker.verdict import PartReport, Result, Verdict
from gpt2_small.errors import UserError


class Checker:
    """Checks files one after another in its own server; a context manager.

    The server starts with the first file, or with `warm`.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._server: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._errors: Any = None

    def __enter__(self) -> "Checker":
        return self

    def __exit__(
        self, _type: type | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def warm(self, parts: Sequence[str] = ()) -> None:
        """Start the server without waiting for it.

        parts: GPT-2's parts to check first; the server imports what their claims need.
        """
        if self._server is not None and self._server.poll() is not None:
            self.close()
        if self._server is None:
            self._server = self._started(parts)

    def stop(self) -> None:
        """Kill the server, from any thread; a running `check` raises UserError at once."""
        server = self._server
        if server is not None:
            _kill(server)

    def close(self) -> None:
        """End the server and its processes."""
        server, self._server = self._server, None
        if server is None:
            return
        assert self._socket is not None
        self._socket.close()
        try:
            server.wait(timeout=2)
        except subprocess.TimeoutExpired:
            _kill(server)
            server.wait()
        self._errors.close()

    def check(
        self,
        path: str | Path,
        parts: Iterable[str] | None = None,
        *,
        source: bytes | None = None,
        seed: int = 0,
        naming: bool = True,
        variant: Sequence[str] = (),
        layout: str | None = None,
        has_helpers: bool = True,
        on_result: Callable[[Result], None] | None = None,
        on_access: Callable[[str], None] | None = None,
    ) -> Verdict:
        """Check a file, or some of its parts.

        source: the file's Python, if it was read before.
        seed: for the checks' random inputs.
        naming: whether mistakes are named.
        variant: ids of edits; the file must equal the reference with them.
        layout: the layout of the file's parameters; only parts of that layout are judged, each
            with its inner parts.
        has_helpers: whether the file may import modules of its folder.
        on_result: called with each result at once, before its mistake is named.
        on_access: called with each of the verdict's `accesses` at once.

        A file that cannot be run has a verdict with an `error` and no results. Raises UserError
        if the file cannot be read, for an unknown part, and if the server has died.
        """
        file = Path(path).expanduser()
        was_read = source is not None
        source = binding.read(file) if source is None else source
        exercises = exercise_sets.of_source(source)
        if variant:
            exercises = self._variant(exercises, variant)
        wanted = self._wanted_parts(exercises, parts, layout)
        sha256 = hashlib.sha256(source).hexdigest() if was_read else sha256_of(file, source)
        verdict = Verdict(str(path), sha256, all_parts=exercises.parts, source=source)
        if _is_nested_too_deeply(source):
            verdict.error = f"{path}: its code is nested too deeply to be read"
            return verdict
        request = {
            "exercises": exercises.name,
            "path": str(file),
            "source": source.decode("latin-1"),
            "parts": wanted,
            "seed": seed,
            "naming": naming,
            "layout": layout,
            "every_part": parts is None,
            "has_helpers": has_helpers,
            "limits": asdict(self.limits),
        }
        for answer in self._answers(request):
            _add(answer, verdict, on_result)
            if "access" in answer and on_access is not None:
                on_access(answer["access"])
        return verdict

    def _wanted_parts(
        self, exercises: ExerciseSet, parts: Iterable[str] | None, layout: str | None
    ) -> list[str]:
        """The parts to check. Raises UserError for unknown ones."""
        known = exercises.parts if layout is None else self._parts_of(layout, exercises)
        wanted = list(known if parts is None else exercises.in_learning_order(parts))
        if beyond := [part for part in wanted if part not in known]:
            raise UserError(f"the layout {layout} has no {beyond[0]}; it has {', '.join(known)}")
        return wanted if layout is None else self._with_insides(layout, wanted)

    def _parts_of(self, layout: str, exercises: ExerciseSet) -> tuple[str, ...]:
        """The parts of a layout. Raises UserError for an unknown layout."""
        if exercises is not exercise_set.GPT2:
            raise UserError("--layout is for GPT-2 itself, not for a lesson or with --as")
        from gpt2_small.checker.layouts import find_layout

        return tuple(find_layout(layout).parts)

    def _with_insides(self, layout: str, parts: list[str]) -> list[str]:
        """These parts with their inner parts."""
        from gpt2_small.checker.layouts import find_layout

        return find_layout(layout).with_insides(parts)

    def _variant(self, exercises: ExerciseSet, ids: Sequence[str]) -> ExerciseSet:
        """The exercise set of the reference with edits. Raises UserError if there is none."""
        from gpt2_small.checker.variants import variant_set

        if exercises is not exercise_set.GPT2:
            raise UserError(f"variants are of GPT-2, and this is a file of {exercises.name!r}")
        return variant_set(tuple(ids))

    def _answers(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The server's answers to a request."""
        self.warm(request["parts"] if request["exercises"] == exercise_set.GPT2.name else ())
        assert self._socket is not None
        finished = False
        try:
            write_frame(self._socket.fileno(), json.dumps(request).encode())
            while True:
                frame = read_frame(self._socket.fileno())
                if frame is None:
                    raise UserError(f"the checking process ended: {self._last_words()}")
                answer = json.loads(frame)
                if answer.get("finished"):
                    finished = True
                    return
                yield answer
        except (BrokenPipeError, ConnectionResetError):
            raise UserError(f"the checking process ended: {self._last_words()}") from None
        finally:
            if not finished:
                self._end_at_once()

    def _end_at_once(self) -> None:
        """Kill a server with unread answers; the next request starts a new one."""
        if self._server is not None:
            _kill(self._server)
            self.close()

    def _started(self, parts: Sequence[str]) -> subprocess.Popen[bytes]:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        environment = os.environ | {
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
        }
        package_home = str(Path(__file__).resolve().parents[3])
        paths = [package_home, *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        self._socket, theirs = socket.socketpair()
        with theirs:
            descriptor = theirs.fileno()
            return subprocess.Popen(
                [
                    sys.executable,
                    "-P",  # else a torch.py in the working directory would be imported
                    "-m",
                    "gpt2_small.checker.sandbox.server",
                    str(descriptor),
                    *parts,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                env=environment,
                pass_fds=[descriptor],
                start_new_session=True,
            )

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it printed no error"


def _add(
    answer: dict[str, Any], verdict: Verdict, on_result: Callable[[Result], None] | None
) -> None:
    """Add a server's answer to the verdict, or pass its single result to `on_result`."""
    if "error" in answer:
        verdict.error = answer["error"]
    elif "remarks" in answer:
        verdict.remarks = answer["remarks"]
    elif "access" in answer:
        verdict.accesses.append(answer["access"])
    elif "result" in answer:
        if on_result is not None:
            on_result(Result(**answer["result"]))
    else:
        report = answer["report"]
        report |= {key: tuple(report[key]) for key in ("mistakes", "location")}
        verdict.results += [Result(**fields) for fields in answer["results"]]
        verdict.reports[answer["part"]] = PartReport(**report)


def _is_nested_too_deeply(source: bytes) -> bool:
    try:
        ast.parse(source)
    except (RecursionError, MemoryError):
        return True
    except (SyntaxError, ValueError):
        return False  # running it gives the line
    return False


def _kill(server: "subprocess.Popen[bytes]") -> None:
    """Kill a server and its process group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(server.pid, signal.SIGKILL)


def sha256_of(file: Path, source: bytes) -> str:
    """The hash of the checked text, or of the notebook or its export that contains it."""
    is_reduced = notebooks.is_notebook(file) or notebooks.is_export(source)
    content = file.read_bytes() if is_reduced else source
    return hashlib.sha256(content).hexdigest()
