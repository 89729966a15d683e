"""Test that imports inside the package point in one direction."""

import ast
import functools
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from processes import ROOT

import gpt2_small
from gpt2_small import binding

PACKAGE = "gpt2_small"

# A room may import from lower floors and from itself, not from other rooms of its floor.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "interrupts", "model_protocol", "network"),
    ("files", "notebooks", "notebook_definitions"),
    ("file_environment", "solution_errors"),
    ("binding", "devices"),
    ("entry_point",),
    ("kernels",),
    ("model",),
    ("tokenizers",),
    ("stories",),
    ("data",),
    ("runs",),
    ("weights",),
    ("generation",),
    ("evaluation",),
    ("planning",),
    ("training",),
    ("checker",),
    ("app",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
# Two chains that do not import each other below `runs`.
CHAINS = ({"kernels", "model"}, {"tokenizers", "stories", "data"})
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
DOOR = "__init__"


def room_of(module: str) -> str:
    """Return a module's room: `model` for `gpt2_small.model.hooks`; DOOR for `gpt2_small`."""
    return [*module.split("."), DOOR][1]


def home_of(name: str) -> str:
    """Return the room that a name of the door comes from."""
    if name in gpt2_small._MODULE_OF:
        return room_of(gpt2_small._MODULE_OF[name])
    if name == "UserError":
        return "errors"
    return name if name in FLOOR_OF else "binding"


def imported_modules(module: str, is_package: bool, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Return line and dotted name of every import, at module level or in a function."""
    parts = module.split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            kept = len(parts) + is_package - node.level
            origin = [*(parts[:kept] if node.level else []), *filter(None, [node.module])]
            yield from ((node.lineno, ".".join([*origin, alias.name])) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else None
            called = node.func.id if isinstance(node.func, ast.Name) else called
            if called in ("import_module", "__import__"):
                yield node.lineno, str(node.args[0].value)


@functools.cache
def parsed(source: str) -> ast.Module:
    return ast.parse(source)


def wrong_arrows(module: str, source: str, is_package: bool = False) -> list[str]:
    """Return a message for each import that does not point down, or that names the reference."""
    room, found = room_of(module), []
    if room not in FLOOR_OF:
        return [f"{module} is in no room of FLOORS"]
    for line, target in imported_modules(module, is_package, parsed(source)):
        if target.split(".")[0] == "solution":
            found.append(f"{module}, line {line}: imports solution")
        if target.split(".")[0] != PACKAGE or target == PACKAGE:
            continue
        to = home_of(target.split(".")[1])
        chains = [{room, to} & chain for chain in CHAINS]
        if to != room and (FLOOR_OF[to] >= FLOOR_OF[room] or all(chains)):
            found.append(f"{module}, line {line}: {room} imports {to}")
    return found


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


def test_every_import_in_the_package_points_down() -> None:
    wrong = [
        sentence
        for module, path in modules()
        if module != PACKAGE
        for sentence in wrong_arrows(module, path.read_text(), path.name == "__init__.py")
    ]
    assert wrong == []


def imported_by(module: str, path: Path, known: Collection[str]) -> set[str]:
    """Return the modules of the package that a module imports, in functions too."""
    source = path.read_text()
    tree = parsed(source)
    if "if TYPE_CHECKING" in source:  # imports for type checkers only make no circle
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = [ast.Pass()]
    targets = (name for _, name in imported_modules(module, path.name == "__init__.py", tree))
    nearest = (name if name in known else name.rpartition(".")[0] for name in targets)
    return {name for name in nearest if name in known and name != module}


def circle(graph: Mapping[str, Collection[str]]) -> tuple[str, ...] | None:
    """Return names that depend on each other in a circle, or None."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return tuple(error.args[1])
    return None


def test_no_modules_import_each_other_in_a_circle_even_inside_functions() -> None:
    paths = {module: path for module, path in modules() if module != PACKAGE}
    assert circle({m: imported_by(m, path, paths) for m, path in paths.items()}) is None


def test_a_circle_through_a_function_is_found(tmp_path: Path) -> None:
    sources = {
        "gpt2_small.a": "from gpt2_small import b",
        "gpt2_small.b": "def f():\n    from gpt2_small.a import name",
    }
    paths = {module: tmp_path / f"{module}.py" for module in sources}
    for module, path in paths.items():
        path.write_text(sources[module])
    found = circle({m: imported_by(m, path, paths) for m, path in paths.items()})
    assert found is not None
    assert set(found) == set(sources)


def test_the_package_itself_imports_only_errors_and_binding() -> None:
    source = (ROOT / PACKAGE / "__init__.py").read_text()
    imported = imported_modules(PACKAGE, True, ast.parse(source))
    rooms = {target.split(".")[1] for _, target in imported if target.startswith(PACKAGE)}
    assert rooms <= {"errors", "binding"}


def test_the_reference_imports_nothing_of_the_package() -> None:
    source = (ROOT / "solution.py").read_text()
    imported = [target for _, target in imported_modules("solution", False, ast.parse(source))]
    assert [target for target in imported if target.split(".")[0] == PACKAGE] == []


@pytest.mark.parametrize(
    ("module", "source", "sentence"),
    [
        ("gpt2_small.model.hooks", "import gpt2_small.cli", "model imports cli"),
        ("gpt2_small.model.hooks", "from gpt2_small.data import prepare", "model imports data"),
        (
            "gpt2_small.tokenizers.byte_pairs",
            "from gpt2_small import model",
            "tokenizers imports model",
        ),
        (
            "gpt2_small.tokenizers.byte_pairs",
            "from ..model import hooks",
            "tokenizers imports model",
        ),
        ("gpt2_small.stories.rules", "from .. import model", "stories imports model"),
        ("gpt2_small.binding", "from .runs.folder import open_run", "binding imports runs"),
        ("gpt2_small.runs.folder", "def f():\n    import gpt2_small.training", "imports training"),
        (
            "gpt2_small.model.twin",
            "from gpt2_small import load_pretrained",
            "model imports weights",
        ),
        (
            "gpt2_small.tokenizers.byte_pairs",
            "import_module('gpt2_small.checker.pytest_plugin')",
            "tokenizers imports checker",
        ),
        ("gpt2_small.errors", "from gpt2_small import sample", "errors imports binding"),
        ("gpt2_small.model.twin", "import solution", "imports solution"),
        ("gpt2_small.cli", "from solution import Transformer", "imports solution"),
        ("gpt2_small.cli", "importlib.import_module('solution')", "imports solution"),
        ("gpt2_small.attic", "", "in no room"),
    ],
)
def test_an_import_that_points_up_is_detected(module: str, source: str, sentence: str) -> None:
    (found,) = wrong_arrows(module, source)
    assert sentence in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("gpt2_small.model.twin", "from gpt2_small import Transformer, binding"),
        ("gpt2_small.model.twin", "from . import hooks\nfrom .hooks import capture"),
        ("gpt2_small.tokenizers.byte_pairs", "from ..errors import UserError"),
        ("gpt2_small.cli", "from gpt2_small import load_pretrained, run_with_cache"),
        (
            "gpt2_small.checker.pytest_plugin",
            "import pytest, torch\nimport gpt2_small.training.loop",
        ),
    ],
)
def test_an_import_that_points_down_is_accepted(module: str, source: str) -> None:
    assert wrong_arrows(module, source) == []


def test_a_relative_import_in_a_rooms_init_is_inside_the_room() -> None:
    assert wrong_arrows("gpt2_small.model", "from .hooks import hooks", is_package=True) == []
    (found,) = wrong_arrows("gpt2_small.model", "from ..data import batches", is_package=True)
    assert "model imports data" in found


def test_every_public_name_comes_from_a_known_room() -> None:
    assert {home_of(name) for name in [*gpt2_small.__all__, *binding.SOLUTION_NAMES]} <= set(
        FLOOR_OF
    )


def test_importing_the_package_loads_no_torch() -> None:
    program = "import sys, gpt2_small; print(sorted({'torch', 'numpy', 'einops'} & {*sys.modules}))"
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
