"""Test that one process has one solution, wherever package and process are."""

import zipfile
from pathlib import Path

import nbclient
import nbformat
import pytest
from processes import ROOT, printed_by, run_fresh_python, run_python

IDENTITY = """
import sys
sys.path = [path for path in sys.path if path not in {hidden}]
import gpt2_small
from gpt2_small import Transformer, binding
assert Transformer is gpt2_small.Transformer is binding.bound().Transformer
assert sys.modules[Transformer.__module__].Transformer is Transformer
assert gpt2_small.bind(binding.reference_path()).Transformer is Transformer
print(gpt2_small.__file__, binding.solution_path(binding.bound()), sep="\\n")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build a wheel from this checkout, and unpack it."""
    folder = tmp_path_factory.mktemp("wheel")
    run_python("-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT).check_returncode()
    (archive,) = folder.glob("*.whl")
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture
def elsewhere(tmp_path) -> Path:
    """Return a working directory with a stray solution.py, which must be ignored."""
    (tmp_path / "solution.py").write_text("raise SystemExit('picked up')\n")
    return tmp_path


def test_in_a_checkout_there_is_one_class_from_the_file_at_the_root():
    package, solution = printed_by(IDENTITY.format(hidden=[]), ROOT).splitlines()
    assert (package, solution) == (str(ROOT / "gpt2_small/__init__.py"), str(ROOT / "solution.py"))


def test_in_an_editable_install_there_is_one_class_from_the_checkout(elsewhere):
    package, solution = printed_by(IDENTITY.format(hidden=[]), elsewhere).splitlines()
    assert (package, solution) == (str(ROOT / "gpt2_small/__init__.py"), str(ROOT / "solution.py"))


def test_in_a_wheel_there_is_one_class_from_the_file_inside_it(elsewhere, wheel):
    program = IDENTITY.format(hidden=[str(ROOT)])
    package, solution = printed_by(program, elsewhere, PYTHONPATH=str(wheel)).splitlines()
    assert package == str(wheel / "gpt2_small/__init__.py")
    assert solution == str(wheel / "gpt2_small/solution.py")


def test_in_a_wheel_importing_the_packed_file_does_not_bind_it(elsewhere, wheel):
    (elsewhere / "mine.py").write_text("class Transformer:\n    name = 'mine'\n")
    program = f"""
import sys
sys.path = [path for path in sys.path if path != {str(ROOT)!r}]
import gpt2_small.solution
print(gpt2_small.Transformer.name)
"""
    variables = {"PYTHONPATH": str(wheel), "GPT2_SMALL_SOLUTION": "mine.py"}
    assert printed_by(program, elsewhere, **variables) == "mine"


SPAWNING = """
import multiprocessing
import gpt2_small

def seen_by_a_worker(_):
    from gpt2_small import Transformer, binding
    assert Transformer is binding.bound().Transformer
    return Transformer.name, str(binding.solution_path(binding.bound()))

if __name__ == "__main__":
    gpt2_small.bind("mine.py")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(pool.map(seen_by_a_worker, range(2)))
"""


def test_spawned_workers_run_on_the_file_that_was_bound(elsewhere):
    mine = elsewhere / "mine.py"
    mine.write_text("class Transformer:\n    name = 'mine'\n")
    (elsewhere / "spawning.py").write_text(SPAWNING)
    result = run_fresh_python("spawning.py", cwd=elsewhere)
    assert result.stdout.strip() == str([("mine", str(mine))] * 2), result.stderr


UNDER_TORCHRUN = """
import torch.distributed as dist
import gpt2_small
from gpt2_small import Transformer, binding

dist.init_process_group("gloo")
assert Transformer is binding.bound().Transformer is gpt2_small.Transformer
seen = [None] * dist.get_world_size()
dist.all_gather_object(seen, (dist.get_rank(), Transformer.name, Transformer.__module__))
if dist.get_rank() == 0:
    print(seen)
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.parametrize("chosen_by", ["the environment", "bind"])
def test_under_torchrun_every_process_runs_on_the_chosen_file(elsewhere, chosen_by):
    (elsewhere / "mine.py").write_text("class Transformer:\n    name = 'mine'\n")
    script = UNDER_TORCHRUN
    variables = {"GPT2_SMALL_SOLUTION": "mine.py"}
    if chosen_by == "bind":
        script = "import gpt2_small\ngpt2_small.bind('mine.py')\n" + script
        variables = {}
    (elsewhere / "script.py").write_text(script)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    result = run_python(*torchrun, "script.py", cwd=elsewhere, **variables)
    bound = "gpt2_small.bound_solution"
    assert result.stdout.strip() == str([(rank, "mine", bound) for rank in range(2)]), result.stderr


def test_in_a_notebook_bind_chooses_the_file_and_detects_later_edits(elsewhere):
    mine = elsewhere / "mine.py"
    mine.write_text("class Transformer:\n    name = 'mine'\n")
    cells = [
        "import gpt2_small\nmodule = gpt2_small.bind('mine.py')",
        "from gpt2_small import Transformer\n"
        "assert Transformer is module.Transformer is gpt2_small.bind('mine.py').Transformer\n"
        "print(Transformer.name)",
        "open('mine.py', 'a').write('# edited')\n"
        "try:\n    gpt2_small.bind('mine.py')\n"
        "except gpt2_small.UserError as error:\n    print(error)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(elsewhere)}}
    ).execute()
    texts = [output["text"] for cell in notebook.cells for output in cell["outputs"]]
    assert texts[0] == "mine\n"
    assert texts[1] == (
        f"{mine} has changed since it was bound; gpt2_small.check() checks the new text, "
        "and a new Python (in a notebook: restart the kernel) can bind it\n"
    )
