"""Test the wheel: its contents, and that it runs on its own reference."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from processes import ROOT
from public_stub import STUB, public_stub

import gpt2_small

NOT_PACKAGED = {"__pycache__", ".ipynb_checkpoints"}


def build(project: Path, kind: str, out: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    (archive,) = out.iterdir()
    return archive


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_unpacked(unpacked: Path, program: str, cwd: Path) -> str:
    """Run a program with the unpacked wheel and the libraries, without the checkout."""
    forget_checkout = f"import sys; sys.path = [p for p in sys.path if p != {str(ROOT)!r}]\n"
    result = subprocess.run(
        [sys.executable, "-P", "-c", forget_checkout + program],
        cwd=cwd,
        env={"PYTHONPATH": str(unpacked), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_the_wheel_contains_every_file_of_the_package_and_the_reference(wheel: Path) -> None:
    packaged = {name for name in contents(wheel) if ".dist-info/" not in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "gpt2_small").rglob("*")
        if path.is_file() and not NOT_PACKAGED & set(path.parts)
    }
    lessons = {
        f"gpt2_small/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "lessons").rglob("*")
        if path.is_file() and not NOT_PACKAGED & set(path.parts)
    }
    assert packaged == expected | lessons | {"gpt2_small/solution.py"}


def test_the_reference_in_the_wheel_is_the_one_at_the_root(wheel: Path) -> None:
    assert contents(wheel)["gpt2_small/solution.py"] == (ROOT / "solution.py").read_bytes()


def test_a_wheel_made_from_the_source_archive_is_the_same(wheel: Path, tmp_path: Path) -> None:
    archive = build(ROOT, "sdist", tmp_path / "sdist")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    project = tmp_path / archive.name.removesuffix(".tar.gz")
    assert contents(build(project, "wheel", tmp_path / "wheel")) == contents(wheel)


@pytest.mark.slow
def test_an_installed_wheel_writes_and_checks_a_solution(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site-packages"
    install = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", *install, str(wheel)], check=True)
    program = (
        "import shutil, sys\n"
        "from gpt2_small import binding, cli\n"
        "shutil.copy(binding.reference_path(), 'my_gpt2.py')\n"
        "sys.argv = ['gpt2-small', 'check', 'my_gpt2.py', '--component', 'LayerNorm']\n"
        "cli.main()"
    )
    assert "LayerNorm" in run_unpacked(target, program, tmp_path)


def test_a_wheels_names_come_from_the_reference_in_it_not_from_a_stray_solution(
    unpacked: Path, tmp_path: Path
) -> None:
    (tmp_path / "solution.py").write_text("raise SystemExit('picked up')\n")
    program = (
        "import sys\nfrom gpt2_small import Transformer\n"
        "print(sys.modules[Transformer.__module__].__file__)"
    )
    assert run_unpacked(unpacked, program, tmp_path) == str(unpacked / "gpt2_small/solution.py")


def test_the_stub_declares_the_references_signatures() -> None:
    assert STUB.read_text(encoding="utf-8") == public_stub(), "run python tools/public_stub.py"


@pytest.mark.slow
def test_a_type_checker_sees_the_signatures_behind_the_public_names(tmp_path: Path) -> None:
    program = tmp_path / "use.py"
    program.write_text(
        "from gpt2_small import Transformer, TransformerConfig, load_pretrained, sample\n"
        "model: Transformer = load_pretrained('gpt2')\n"
        "TransformerConfig(n_layer=2)\n"
        "sample(model.embed.W_E, temprature=1.0)\n"
    )
    command = [sys.executable, "-m", "mypy", "--follow-imports=silent", str(program)]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = re.findall(r"use.py:(\d+): error: (.*?)  ", checked.stdout)
    assert [line for line, _ in found] == ["3", "4"], checked.stdout
    assert "did you mean" in found[0][1]


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    changelog = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## (\S+)", changelog, flags=re.MULTILINE)
    assert newest is not None
    assert project["version"] == gpt2_small.__version__ == newest[1]


def test_every_declared_dependency_has_a_pinned_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *extras["hub"], *extras["dev"]]
    names = {canonical(re.split(r"[\[>=<]", each)[0]) for each in declared} - {"gpt2-small"}
    pinned = {
        canonical(line.split("==")[0])
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    assert names - pinned == set()


def test_every_folder_except_the_lessons_is_type_checked() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    folders = {path.parent.name for path in ROOT.glob("[!.]*/*.py")} - {"lessons"}
    assert set(tools["mypy"]["files"]) == folders | {"solution.py"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
