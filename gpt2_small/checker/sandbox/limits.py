"""Limit a child's processor time, wall time and memory, and write a traceback at the limit."""

import contextlib
import faulthandler
import os
import signal
from pathlib import Path
from typing import IO

_LARGEST_FILE = 64 << 20
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_NO_NEW_PRIVS = 38
# Landlock's system calls have these numbers on every processor; 6 is its first version with scopes.
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_VERSION_WITH_SCOPES, _SCOPE_SIGNAL = 6, 2


def limit_memory(extra: int) -> None:
    """Limit this process's address space to its current size plus `extra`, if supported."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * os.sysconf("SC_PAGE_SIZE") + extra
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class TimeLimit:
    """Ends this process with a traceback at a limit of processor or wall time.

    trace: the traceback's file.
    """

    def __init__(self, trace: IO[str]) -> None:
        self._trace = trace
        faulthandler.enable(trace, all_threads=False)
        faulthandler.register(signal.SIGPROF, trace, all_threads=False, chain=True)

    def stop_after(self, processor_seconds: float, wall_seconds: float) -> None:
        """End this process after these seconds, unless this or `stop` is called before."""
        signal.setitimer(signal.ITIMER_PROF, processor_seconds)
        faulthandler.dump_traceback_later(wall_seconds, exit=True, file=self._trace)

    def stop(self) -> None:
        """Remove the limits of time."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()


def end_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends (Linux)."""
    _control(_PR_SET_PDEATHSIG, signal.SIGKILL)


def close_to_others() -> None:
    """Deny other processes of this user access to this one's memory (Linux)."""
    _control(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Become the parent of processes orphaned by children (Linux)."""
    _control(_PR_SET_CHILD_SUBREAPER, 1)


def end_all_children(spared: int, most: int = 1000) -> None:
    """Kill the children of this process, and their orphaned children (Linux).

    spared: the id of a child to keep. most: the largest number of rounds against a fork bomb.
    """
    for _ in range(most):
        children = [
            int(pid)
            for listed in Path("/proc/self/task").glob("*/children")
            for pid in listed.read_text().split()
            if int(pid) != spared
        ]
        if not children:
            return
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def drop_privileges_of_root() -> None:
    """Drop root's capabilities, which allow access to other processes' memory and descriptors.

    The user stays the same (Linux).
    """
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        none = (ctypes.c_uint32 * 6)()
        ctypes.CDLL(None).capset(header, none)


def confines_signals() -> bool:
    """Whether this kernel can keep a process from sending signals (Linux 6.12 on)."""
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        version = ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, 1)
        return bool(version >= _VERSION_WITH_SCOPES)
    return False


def confine_signals() -> None:
    """Let this process, and those that it starts, send signals to themselves alone.

    Without it `os.kill(-1, signal.SIGKILL)` ends all processes of the user. Where the kernel cannot
    do it, nothing is changed.
    """
    if not confines_signals():
        return
    import ctypes

    system = ctypes.CDLL(None)
    # The file accesses and the ports that are handled, and what is scoped.
    rules = (ctypes.c_uint64 * 3)(0, 0, _SCOPE_SIGNAL)
    descriptor = system.syscall(_CREATE_RULESET, rules, ctypes.sizeof(rules), 0)
    if descriptor >= 0:
        _control(_PR_SET_NO_NEW_PRIVS, 1)
        system.syscall(_RESTRICT_SELF, descriptor, 0)
        os.close(descriptor)


def _control(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
