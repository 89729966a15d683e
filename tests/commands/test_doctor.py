"""Test `doctor`: the state of the installation, and the commands that install what is missing."""

import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Ran, run_in_an_empty_folder

import gpt2_small
from gpt2_small import binding
from gpt2_small.commands import doctor_findings as findings
from gpt2_small.commands.doctor_findings import NeededPackage
from gpt2_small.kernels.native import library as native

run = run_in_an_empty_folder


def test_the_version_is_shown(run: Callable[..., Ran]) -> None:
    assert run("--version").out == f"gpt2-small {gpt2_small.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_can_be_installed(
    run: Callable[..., Ran], shell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))
    assert "_GPT2_SMALL_COMPLETE" in run("--show-completion").out


def test_doctor_finds_everything_required_on_this_machine(run: Callable[..., Ran]) -> None:
    ran = run("doctor")
    assert ran.code == 0, ran.out
    assert f"torch {importlib.metadata.version('torch')}" in " ".join(ran.out.split())
    assert "Everything needed is installed." in ran.out


def test_doctor_lists_missing_packages_with_the_command_that_installs_them(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        findings, "declared", lambda: [NeededPackage("no-such-package", "2.0", None)]
    )
    ran = run("doctor")
    assert ran.code == 1
    assert "packages: no-such-package is not installed." in ran.out
    assert "  pip install 'no-such-package>=2.0'" in ran.out.splitlines()


def test_one_command_installs_everything_that_is_missing_for_a_purpose() -> None:
    wanted = [NeededPackage("no-such-package", "1.0", "dev"), NeededPackage("nor-this", "2", "dev")]
    (finding,) = findings.packages(wanted)
    assert (finding.subject, finding.state) == ("for the tests", "optional")
    assert finding.fix == "pip install 'no-such-package>=1.0' 'nor-this>=2'"


def test_an_extra_without_a_description_is_shown_by_its_name() -> None:
    (finding,) = findings.packages([NeededPackage("no-such-package", "1", "new-extra")])
    assert finding.subject == "extra new-extra"


def test_doctor_says_that_without_a_c_compiler_generation_is_slower(
    run: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "compiled", lambda source, dtype: "there is no C compiler")
    ran = run("doctor")
    assert ran.code == 0
    assert "training and generation on a CPU are slower" in " ".join(ran.out.split())
    assert "  install gcc, or name a C compiler" in ran.out


def test_a_package_that_is_too_old_counts_as_missing() -> None:
    (finding,) = findings.packages([NeededPackage("torch", "99.1", None)])
    assert finding.state == "missing"
    assert "is older than 99.1" in finding.found


def test_a_package_of_an_extra_is_optional() -> None:
    (finding,) = findings.packages([NeededPackage("no-such-package", "1", "hub")])
    assert finding.state == "optional"


def test_every_dependency_of_the_project_is_checked_once() -> None:
    names = [needed.name for needed in findings.declared()]
    assert {"torch", "einops", "typer", "datasets", "pytest"} <= set(names)
    assert len(set(names)) == len(names)


def test_a_nearly_full_disk_is_reported() -> None:
    finding = findings.disk(Path.cwd(), lambda folder: (int(1e12), int(1e12), int(1e9)))
    assert finding.state == "optional"
    assert "1.0 GB free" in finding.found
    assert "free 4.0 GB" in finding.fix


def test_a_torch_that_cannot_be_imported_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (finding,) = findings.devices()
    assert (finding.state, finding.fix) == ("missing", "pip install --force-reinstall torch")


def test_a_missing_solution_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(binding.SOLUTION_VARIABLE, "/no/such/file.py")
    finding = findings.reference()
    assert (finding.state, finding.fix) == ("missing", f"unset {binding.SOLUTION_VARIABLE}")
