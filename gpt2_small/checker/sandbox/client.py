"""Check any file without trusting it: a server that stays warm, and a process for every part.

`Checker` starts the server (`python -m gpt2_small.checker.sandbox.server`), which imports torch
once and then forks a process for each part. What a file may do there is limited in time and memory,
what it prints is kept, and what it breaks is its own process. It is no sandbox: the file runs with
the rights of whoever checks it.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from gpt2_small import binding
from gpt2_small.checker.parts import PARTS, in_learning_order
from gpt2_small.checker.sandbox.messages import read_frame, write_frame
from gpt2_small.checker.verdict import PartReport, Result, Verdict
from gpt2_small.errors import UserError


@dataclass(frozen=True)
class Limits:
    """What a file may use.

    seconds: for one check; a check that states more has more.
    loading_seconds: for running the file itself.
    memory: bytes that a part's process may take beside what torch takes.
    """

    seconds: float = 10.0
    loading_seconds: float = 20.0
    memory: int = 2 << 30


class Checker:
    """Checks files, one after the other, in a server of its own; a context manager.

    The server starts with the first file, or with `warm`.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._server: subprocess.Popen[bytes] | None = None
        self._errors: Any = None

    def __enter__(self) -> "Checker":
        return self

    def __exit__(
        self, _type: type | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def warm(self) -> None:
        """Start the server, without waiting for it."""
        if self._server is not None and self._server.poll() is not None:
            self.close()
        if self._server is None:
            self._server = self._started()

    def close(self) -> None:
        """End the server, and what it started."""
        server, self._server = self._server, None
        if server is None:
            return
        assert server.stdin is not None
        assert server.stdout is not None
        with contextlib.suppress(OSError):
            server.stdin.close()
        try:
            server.wait(timeout=2)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()
        self._errors.close()

    def check(
        self,
        path: str | Path,
        parts: Iterable[str] | None = None,
        *,
        seed: int = 0,
        naming: bool = True,
        on_result: Callable[[Result], None] | None = None,
    ) -> Verdict:
        """Check a file, all of it or some parts.

        seed: of everything that the checks draw.
        naming: whether mistakes are looked for.
        on_result: called with each result as it comes, before its mistake is known.

        A file that cannot be run has a verdict with an `error` and no results. Raises UserError
        when there is no file to read, for an unknown part, and when the server is gone.
        """
        wanted = list(PARTS) if parts is None else in_learning_order(parts)
        file = Path(path).expanduser()
        source = binding.read(file)
        verdict = Verdict(str(path), hashlib.sha256(source).hexdigest())
        request = {
            "path": str(file),
            "source": source.decode("latin-1"),
            "parts": wanted,
            "seed": seed,
            "naming": naming,
            "limits": asdict(self.limits),
        }
        for answer in self._answers(request):
            if "error" in answer:
                verdict.error = answer["error"]
            elif "result" in answer:
                if on_result is not None:
                    on_result(Result(**answer["result"]))
            else:
                report = PartReport(**answer["report"] | {"mistakes": tuple(answer["mistakes"])})
                results = [Result(**fields) for fields in answer["results"]]
                verdict.results += results
                verdict.reports[answer["part"]] = report
        return verdict

    def _answers(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """What the server says to a request, until it has said all."""
        self.warm()
        assert self._server is not None
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        finished = False
        try:
            write_frame(self._server.stdin.fileno(), json.dumps(request).encode())
            while True:
                frame = read_frame(self._server.stdout.fileno())
                if frame is None:
                    raise UserError(f"the checking process ended: {self._last_words()}")
                answer = json.loads(frame)
                if answer.get("finished"):
                    finished = True
                    return
                yield answer
        except BrokenPipeError:
            raise UserError(f"the checking process ended: {self._last_words()}") from None
        finally:
            if not finished:
                self._end_at_once()

    def _end_at_once(self) -> None:
        """After an answer that was not read to its end, the next one needs a new server."""
        if self._server is not None:
            self._server.kill()
            self.close()

    def _started(self) -> subprocess.Popen[bytes]:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        environment = os.environ | {
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
        }
        command = [sys.executable, "-m", "gpt2_small.checker.sandbox.server"]
        package_home = str(Path(__file__).resolve().parents[2])
        paths = [package_home, *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            start_new_session=True,
        )

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
