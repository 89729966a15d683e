"""Serve a folder as a repository of the Hugging Face Hub that stalls in one file."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
REPOSITORY = "owner/name"


class SlowHub(ThreadingHTTPServer):
    """A Hub with one repository, which serves the files of a folder.

    stalling: the file of which only `sent` bytes are sent (over all requests) until `released`.
    has_stalled: set when those bytes were sent and the client waits for more.
    """

    daemon_threads = True

    def __init__(self, folder: Path, stalling: str, sent: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder, self.stalling, self.left = folder, stalling, sent
        self.has_stalled, self.released = threading.Event(), threading.Event()
        self.ranges: list[str] = []  # ranges requested of the stalling file

    @property
    def address(self) -> str:
        """Return the address for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of `huggingface_hub` and `datasets`."""

    server: SlowHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def handle(self) -> None:
        with suppress(ConnectionError):  # the client was interrupted
            super().handle()

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._json(self._tree())

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/"):
            is_tree = "/tree/" in path or "/paths-info/" in path
            self._json(self._tree() if is_tree else self._repository())
        elif "/resolve/" in path:
            name = path.partition("/resolve/")[2].partition("/")[2]
            self._file(self.server.folder / name)
        else:
            self._json([] if path.endswith("/") else {}, 404)

    def _repository(self) -> dict[str, Any]:
        siblings = [{"rfilename": path.name} for path in self._paths()]
        return {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings, "tags": []}

    def _tree(self) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": p.name, "size": p.stat().st_size, "oid": _hash(p)}
            for p in self._paths()
        ]

    def _paths(self) -> list[Path]:
        return sorted(self.server.folder.iterdir())

    def _json(self, content: Any, code: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        if code == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self._json({"error": "Entry not found"}, 404)
            return
        content, code, first = path.read_bytes(), 200, 0
        asked = self.headers.get("Range")
        if asked and self.command != "HEAD":
            code, (start, _, end) = 206, asked.removeprefix("bytes=").partition("-")
            first = int(start)
            part = content[first : int(end) + 1 if end else None]
        else:
            part = content
        self.send_response(code)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", f'"{_hash(path)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        if code == 206:
            self.send_header(
                "Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(content)}"
            )
        self.end_headers()
        if self.command != "HEAD":
            self._send(path.name, part)

    def _send(self, name: str, part: bytes) -> None:
        if name == self.server.stalling:
            self.server.ranges.append(self.headers.get("Range", ""))
            at_once = max(0, self.server.left)
            self.server.left -= len(part)
            self.wfile.write(part[:at_once])
            self.wfile.flush()
            part = part[at_once:]
            if part:
                self.server.has_stalled.set()
                self.server.released.wait()
        self.wfile.write(part)


def _hash(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


@contextmanager
def slow_hub(folder: Path, stalling: str, sent: int) -> Iterator[SlowHub]:
    """Run a Hub in a thread while the context is open."""
    hub = SlowHub(folder, stalling, sent)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        hub.shutdown()
        hub.server_close()
