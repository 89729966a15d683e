"""Test compiled runs: their conditions, memory and results."""

import shutil

import pytest
import torch
from small_runs import ALONE, SMALL, logged, play, state_at, steps_kept, train

from gpt2_small.errors import UserError
from gpt2_small.training.distributed import Processes
from gpt2_small.training.recipes.settings import parsed
from gpt2_small.training.session import open_run

# The compiler sums in another order and rounds less often between operations: differences of 5e-7
# and 8e-5 were measured for losses of about 3.
COMPILED_TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-3}


def is_compiled(solution, folder, device, **changes):
    changes["data"] = str(play(folder))
    with open_run(solution, folder / "run", SMALL, changes, ALONE) as run:
        run.training.processes = Processes(rank=0, world_size=1, device=torch.device(device))
        return run.training.is_compiled


@pytest.mark.parametrize(("device", "expected"), [("cpu", False), ("cuda", True), ("mps", False)])
def test_by_default_only_runs_on_cuda_are_compiled(solution, tmp_path, device, expected):
    assert is_compiled(solution, tmp_path, device) is expected


@pytest.mark.parametrize(("device", "wanted"), [("cpu", True), ("cuda", False)])
def test_the_option_compile_overrides_the_default(solution, tmp_path, device, wanted, monkeypatch):
    monkeypatch.setenv("CXX", "sh")
    assert is_compiled(solution, tmp_path, device, compile=wanted) is wanted


@pytest.mark.parametrize(("text", "value"), [("none", None), ("true", True), ("false", False)])
def test_compile_can_be_set_by_an_assignment(text, value):
    assert parsed([f"compile={text}"]) == {"compile": value}


def test_without_a_compiler_a_run_on_a_cpu_is_refused_before_anything_is_written(
    solution, tmp_path, monkeypatch
):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"needs a C\+\+ compiler .* there is no no-such-compiler"):
        train(solution, tmp_path / "run", compile=True)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Reset the compiler's caches."""
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs g++, which is not installed")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_compiled_training_has_the_same_losses(solution, tmp_path, compiler, dtype):
    for name in ("plain", "compiled"):
        train(solution, tmp_path / name, dtype=dtype, compile=name == "compiled")
    plain, compiled = ([r["loss"] for r in logged(tmp_path / n)] for n in ("plain", "compiled"))
    assert compiled == pytest.approx(plain, abs=COMPILED_TOLERANCE[dtype])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_run_resumes_bit_for_bit(solution, tmp_path, compiler):
    changes = {"dtype": "bfloat16", "compile": True}
    train(solution, tmp_path / "whole", **changes)
    train(solution, tmp_path / "halves", last=5, **changes)
    assert steps_kept(tmp_path / "halves")[-1] < 12
    train(solution, tmp_path / "halves", resume=True)
    assert state_at(tmp_path / "halves", 12) == state_at(tmp_path / "whole", 12)
    assert logged(tmp_path / "halves") == logged(tmp_path / "whole")
