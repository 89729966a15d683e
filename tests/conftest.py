"""Share fixtures: the typed solution, reproducible randomness, no network."""

import functools
import gc
import os
import shutil
import signal
import tempfile

# Hundreds of processes import the package; compile its modules once for all of them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Background jobs of a shell ignore SIGINT; the processes that tests interrupt would inherit this.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Small tensors gain nothing from several threads.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import typer.main
from hypothesis import settings

from gpt2_small import binding

# xdist's controller runs no tests; without torch it starts seconds earlier.
if TYPE_CHECKING:
    import torch

settings.register_profile("gpt2-small", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("gpt2-small")

# Tests need no fsync in this process; the processes that they start do call it.
vars(os).update(fsync=lambda handle: None)
# Build the commands once, not for every command line that runs in this process.
vars(typer.main).update(get_command=functools.cache(typer.main.get_command))


def pytest_configure(config: pytest.Config) -> None:
    """Create one cache folder of prepared texts for all workers of this session."""
    if "GPT2_SMALL_SHARDS" not in os.environ:
        folder = os.environ["GPT2_SMALL_SHARDS"] = tempfile.mkdtemp(prefix="shards-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_finish() -> None:
    """Collect garbage once, and exempt the objects that exist so far from later collections."""
    gc.freeze()


@pytest.fixture(scope="session")
def solution() -> ModuleType:
    """Return the bound solution, with the shapes in its signatures checked at every call."""
    from shape_types import check_shapes

    module = binding.bound()
    check_shapes(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def _shapes_are_checked(solution: ModuleType) -> None:
    """Check shapes in every test, also in those that do not request `solution`."""


@pytest.fixture(scope="session", autouse=True)
def _checkers_are_forked(solution: ModuleType) -> None:
    """Fork the checkers' servers, which is faster; not for a learner's file."""
    # pytest imports this file once before it knows --solution, perhaps without our settings' paths.
    from forked import ForkingPopen

    if binding.is_reference(solution):
        ForkingPopen.fork_from()


@pytest.fixture
def generator() -> "torch.Generator":
    """Return a generator with the same seed in every test."""
    import torch

    return torch.Generator().manual_seed(20190214)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Use two threads, for the few tests whose tensors are large."""
    yield from threads(2)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread, for tests of many small tensors."""
    yield from threads(1)


def threads(count: int) -> Iterator[None]:
    """Let torch use this many threads until the generator goes on."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Use an empty cache folder for compiled C code, and an empty cache in memory.

    Code is compiled without optimisation, which is faster.
    """
    from gpt2_small.kernels.native import compiler, library

    monkeypatch.setattr(compiler, "FLAGS", ("-O0", *compiler.FLAGS[1:]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    library.compiled.cache_clear()
    yield tmp_path / "cache" / "gpt2-small" / "compiled"
    library.compiled.cache_clear()
