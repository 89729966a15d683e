"""Test `app` and `serve` as processes: the address they print, and their end."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from app_pages import TEXT, small_run
from forked import Fork, the_forks, wait_until
from processes import ROOT, run_python

from gpt2_small.app.serving import http_server
from gpt2_small.app.serving.http_server import listening_socket
from gpt2_small.errors import UserError

NEW_TOKENS = 4096  # more than can be generated before the server ends


@pytest.fixture(scope="module")
def run(solution, tmp_path_factory):
    return small_run(solution, tmp_path_factory.mktemp("run") / "small", tied_embeddings=False)


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def started(*arguments: str, cwd: Path, **environment: str) -> Iterator[tuple[Fork, str]]:
    """Start a server, and yield the first line it prints, which must be the only one."""
    command = ("-m", "gpt2_small", *arguments)
    process = the_forks().start_python(*command, cwd=cwd, PYTHONPATH=str(ROOT), **environment)
    try:
        wait_until(lambda: process.out.endswith("\n") or process.poll() is not None)
        printed = process.out
        yield process, printed
        assert process.out == printed
        assert "Traceback" not in process.err
    finally:
        process.send(signal.SIGKILL)
        process.wait()


def ended_by(process: Fork, number: signal.Signals) -> int:
    process.send(number)
    return process.wait()


def is_cut(lines: Iterator[str]) -> bool:
    """Whether a stream of NEW_TOKENS tokens, of which some were read, ended before the last."""
    count = 0
    with suppress(httpx.HTTPError):
        for _ in lines:
            count += 1
    return count < NEW_TOKENS


def test_app_prints_only_its_address_and_exits_with_0_despite_an_open_stream(run, tmp_path) -> None:
    port = free_port()
    arguments = ("app", str(run), "--no-browser", "--port", str(port))
    with started(*arguments, cwd=tmp_path) as (process, line):
        assert re.fullmatch(rf"http://127\.0\.0\.1:{port}/[\w-]{{32,}}/\n", line)
        address = line.strip()
        assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 403
        assert httpx.get(address).status_code == 200
        asked = {"text": TEXT, "max_new_tokens": NEW_TOKENS, "ignore_end": True}
        with (
            httpx.stream("POST", f"{address}api/continue", json=asked, timeout=120) as stream,
            httpx.stream("GET", f"{address}api/run", timeout=120) as log,
        ):
            lines = stream.iter_lines()
            next(lines)
            next(log.iter_lines())
            assert ended_by(process, signal.SIGTERM) == 0
            assert is_cut(lines)
    with started(*arguments, cwd=tmp_path) as (process, line):
        assert line.strip() == address
        assert ended_by(process, signal.SIGINT) == 0


@pytest.mark.skipif(os.name != "posix", reason="the browser is a shell script")
def test_a_browser_in_the_terminal_does_not_keep_the_page_waiting(tmp_path) -> None:
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\nwhile [ -e open ]; do sleep 0.1; done\n")
    browser.chmod(0o755)
    (tmp_path / "open").write_text("")
    arguments = ("app", "--port", "0")
    with started(*arguments, cwd=tmp_path, BROWSER=f"{browser} %s") as (process, line):
        assert httpx.get(line.strip(), timeout=60).status_code == 200
        (tmp_path / "open").unlink()
        assert ended_by(process, signal.SIGTERM) == 0


def test_serve_prints_only_its_address_and_exits_with_0_despite_an_open_stream(
    run, tmp_path
) -> None:
    with started("serve", str(run), cwd=tmp_path) as (process, line):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\n", line)
        asked = {"prompt": TEXT, "max_tokens": NEW_TOKENS, "stream": True}
        url = f"{line.strip()}v1/completions"
        with httpx.stream("POST", url, json=asked, timeout=120) as stream:
            lines = stream.iter_lines()
            next(lines)
            assert ended_by(process, signal.SIGTERM) == 0
            assert is_cut(lines)


def test_a_missing_model_is_reported_in_one_sentence(tmp_path) -> None:
    arguments = ("-m", "gpt2_small", "app", "missing", "--no-browser")
    result = run_python(*arguments, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert result.returncode == 2
    assert "missing" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_a_port_in_use_is_reported_in_one_sentence_with_the_way_out() -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} .*give another --port"):
            listening_socket("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no such host", "203.0.113.7", "a\udcff", "a\0", ""])
def test_an_address_of_another_machine_is_refused_in_one_sentence(host: str) -> None:
    with pytest.raises(UserError, match="--host") as refused:
        listening_socket(host, 0)
    assert host in str(refused.value)


def test_without_a_port_a_free_one_is_chosen(monkeypatch) -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        monkeypatch.setattr(http_server, "PREFERRED_PORT", taken.getsockname()[1])
        with listening_socket("127.0.0.1", None) as other:
            assert other.getsockname()[1] != taken.getsockname()[1]
