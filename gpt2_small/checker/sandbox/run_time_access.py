"""Report what a running file accesses: the reference, other files, processes, the network.

Python raises audit events for these (PEP 578), whatever the file's text looks like, and a hook on
them cannot be removed. Code in C raises none, and with enough knowledge the hook can be deceived.
"""

import contextlib
import os
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from gpt2_small import binding
from gpt2_small.checker.sandbox.task import ChildTask

_PACKAGE = Path(binding.__file__).resolve().parent
_KIT, _CHECKER = (str(folder) + os.sep for folder in (_PACKAGE, _PACKAGE / "checker"))
GPT2S: Mapping[str, str] = {
    "solution": "imports solution, the reference",
    "gpt2_small": "imports gpt2_small, the kit",
    "transformers": "imports transformers, which contains a GPT-2",
    "transformer_lens": "imports transformer_lens, which contains a GPT-2",
}
_KINDS: Mapping[str, str] = {
    **dict.fromkeys(
        ("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen"),
        "starts a process",
    ),
    **dict.fromkeys(
        ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"),
        "uses the network",
    ),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill"), "sends a signal"),
    **dict.fromkeys(("sys.settrace", "sys.setprofile"), "traces Python's calls"),
    **dict.fromkeys(
        ("gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys._current_frames"),
        "searches Python's objects",
    ),
    "ctypes.dlopen": "loads a C library",
}
# Libraries do these for a file too, so that only its own calls are reported.
_CODE: Mapping[str, str] = {
    **dict.fromkeys(("exec", "compile"), "runs a text as code"),
    **dict.fromkeys(
        ("marshal.dumps", "marshal.loads", "code.__new__", "function.__new__"),
        "stores or builds compiled code",
    ),
    "object.__setattr__": "changes a function's code",
}
_CHANGES = {
    "os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink",
    "os.truncate",
}  # fmt: skip
# Begins the sentence about a file of the submission's own folder, which it imports.
HELPER = "runs its folder's"
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Read by torch and Python themselves.
_SYSTEM = (
    "/dev/", "/etc/", "/sys/", "/usr/", "/proc/self/", "/proc/sys/", "/proc/cpuinfo",
    "/proc/meminfo",
)  # fmt: skip
# Of Python's tempfile and multiprocessing, and of torch's compiler.
_TEMPORARY = tuple(
    os.path.join(os.path.realpath(tempfile.gettempdir()), name)
    for name in ("tmp", "pymp-", "torchinductor_")
)
_MOST = 50


def report_accesses(task: ChildTask, say: Callable[[int | None, str], None]) -> None:
    """Call `say` with the file's line and a sentence, once for each access, from now on.

    Omits what the checker's own code does.
    """
    file, said = str(task.path.absolute()), set[str]()
    inside = threading.local()
    stat, reference, libraries = os.stat, _reference_files(), _libraries()
    own_folder = os.path.realpath(os.path.dirname(file)) + os.sep if task.has_helpers else None

    def what(event: str, arguments: tuple[Any, ...], caller: FrameType) -> str | None:
        if event == "import":
            return GPT2S.get(str(arguments[0]).partition(".")[0])
        if event == "open":
            return opened(arguments[0], arguments[2], caller)
        if event in _CHANGES:
            return _sentence("changes", _changed(event, arguments), file)
        return _CODE.get(event) or _KINDS.get(event)

    def opened(path: Any, flags: Any, caller: FrameType) -> str | None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return None
        with contextlib.suppress(OSError):
            if (stat(path).st_dev, stat(path).st_ino) in reference:
                return "reads solution.py, the reference"
        whole = os.path.realpath(os.fsdecode(path))
        if isinstance(flags, int) and flags & _WRITING:
            return None if whole == os.devnull else _sentence("writes", whole, file)
        if whole.startswith(_KIT) and not _loads_code(caller):
            return f"reads {whole.removeprefix(_KIT)}, the kit"
        is_helper = own_folder is not None and whole.startswith(own_folder)
        if whole in (file, os.path.realpath(file)) or whole.startswith((*libraries, *_SYSTEM)):
            return None
        if whole.endswith(".pyc") and not os.path.exists(whole):
            return None  # Python looks for one beside every module
        if is_helper and whole.endswith((".py", ".pyc")):
            return _sentence(HELPER, whole, file)
        return _sentence("reads", whole, file)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in events or getattr(inside, "hook", False):
            return
        inside.hook = True
        try:
            caller = sys._getframe(1)
            sentence = what(event, arguments, caller)
            if sentence is None or sentence in said or len(said) >= _MOST:
                return
            is_ours, line = _caller(caller, file)
            is_direct = caller.f_code.co_filename == file
            if not is_ours and (is_direct or event not in _CODE):
                said.add(sentence)
                say(line, sentence)
        except (OSError, TypeError, ValueError):
            return
        finally:
            inside.hook = False

    events = {"import", "open", *_CHANGES, *_CODE, *_KINDS}
    sys.addaudithook(hook)


def _caller(frame: FrameType | None, file: str) -> tuple[bool, int | None]:
    """Whether the checker's code, not the file's, leads to an access; else the file's line."""
    while frame is not None:
        name = frame.f_code.co_filename
        if name == file:
            return False, frame.f_lineno
        if name.startswith(_CHECKER):
            return True, None
        frame = frame.f_back
    return False, None


def _loads_code(frame: FrameType | None, most: int = 4) -> bool:
    """Whether Python imports a module, or reads a line for a traceback or a warning."""
    for _ in range(most):
        if frame is None:
            return False
        name = frame.f_code.co_filename
        if name.startswith("<frozen importlib") or name.endswith(("linecache.py", "tokenize.py")):
            return True
        frame = frame.f_back
    return False


def _reference_files() -> frozenset[tuple[int, int]]:
    """The device and number of the reference's file, whatever link leads to it, and its copies."""
    path = binding.reference_path()
    found = [path.stat(), *(copy.stat() for copy in path.parent.glob("__pycache__/solution.*.pyc"))]
    return frozenset((one.st_dev, one.st_ino) for one in found)


def _libraries() -> tuple[str, ...]:
    """The folders of Python, of its libraries and of this package."""
    folders = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), str(_PACKAGE)]
    folders += [path for path in sys.path if path.endswith(("-packages", ".zip"))]
    return tuple({os.path.realpath(folder) + os.sep for folder in folders})


def _sentence(verb: str, path: str, file: str) -> str:
    """A sentence about a path, relative to the file's folder if inside.

    Temporary files are not named, because their names are random.
    """
    own = os.path.realpath(os.path.dirname(file)) + os.sep
    if path.startswith(_TEMPORARY) and not path.startswith(own):
        return "uses temporary files"
    return f"{verb} {path.removeprefix(own)}"


def _changed(event: str, arguments: tuple[Any, ...]) -> str:
    """The path of a change; a relative one may be in the folder of a descriptor."""
    path, last = os.fsdecode(arguments[0]), arguments[-1]
    is_in_folder = event != "os.truncate" and isinstance(last, int) and last > 2
    if is_in_folder and not os.path.isabs(path):
        with contextlib.suppress(OSError):
            return os.path.join(os.readlink(f"/proc/self/fd/{last}"), path)
    return os.path.abspath(path)
