"""Share fixtures: the typed solution, reproducible randomness, no network."""

import functools
import gc
import os
import shutil
import signal
import tempfile

# Hundreds of processes import the package; its modules are compiled once for all of them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# A shell's background jobs ignore interrupts, and the processes that tests interrupt would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Small tensors gain nothing from threads that wait for each other on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
import typer.main
from forked import ForkingPopen
from hypothesis import settings

from gpt2_small import binding

# The process that hands out the tests runs none, and starts without torch, seconds earlier.
if TYPE_CHECKING:
    import torch

settings.register_profile("gpt2-small", derandomize=True, deadline=None, max_examples=25)
settings.load_profile("gpt2-small")

# Nothing here must survive a power cut. The processes that tests start wait for the disk.
vars(os).update(fsync=lambda handle: None)
# Every command line that runs in this process would build all commands anew.
vars(typer.main).update(get_command=functools.cache(typer.main.get_command))


def pytest_configure(config: pytest.Config) -> None:
    """Prepare texts in a folder of this session, which all its processes share."""
    if "GPT2_SMALL_SHARDS" not in os.environ:
        folder = os.environ["GPT2_SMALL_SHARDS"] = tempfile.mkdtemp(prefix="shards-")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_finish() -> None:
    """Search what is there before the first test for garbage in no test."""
    gc.freeze()


@pytest.fixture(scope="session")
def solution() -> ModuleType:
    """The bound solution, with the shapes in its signatures checked at every call."""
    from shape_types import check_shapes

    module = binding.bound()
    check_shapes(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def _shapes_are_checked(solution: ModuleType) -> None:
    """Every test runs on the solution whose shapes are checked, also if it asks for no fixture."""


@pytest.fixture(scope="session", autouse=True)
def _checkers_are_forked(solution: ModuleType) -> None:
    """Checkers take their servers from forks, which is quicker; not of a learner's file."""
    if binding.is_reference(solution):
        ForkingPopen.fork_from()


@pytest.fixture
def generator() -> "torch.Generator":
    """Randomness that starts at the same place in every test."""
    import torch

    return torch.Generator().manual_seed(20190214)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """For the few tests whose tensors are large."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder for compiled C code, and an empty cache in memory.

    Code is compiled without optimisation, which is faster.
    """
    from gpt2_small.kernels.native import compiler, library

    monkeypatch.setattr(compiler, "FLAGS", ("-O0", *compiler.FLAGS[1:]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    library.compiled.cache_clear()
    yield tmp_path / "cache" / "gpt2-small" / "compiled"
    library.compiled.cache_clear()
