"""Test reports of what a running file accesses, whatever its text looks like."""

import os
import sys
import tempfile
from pathlib import Path

import pytest
from checking import check_text, reference_with, started_checker

from gpt2_small import binding
from gpt2_small.checker.sandbox.messages import access_frame, access_in, read_frame, write_frame
from gpt2_small.checker.sandbox.run_time_access import report_accesses
from gpt2_small.checker.sandbox.task import ChildTask, Limits

# Built at run time, so that no scan of the text can find it.
REFERENCE = f"'{binding.reference_path().parent}/sol' + 'ution.py'"

# A module of the kit that a check does not load.
UNLOADED = "gpt2_small.evaluation.text_scores"


def accesses_of(text: str, folder: Path) -> list[str]:
    """Return the reports of a file with this text, run in a forked process."""
    file = folder / "my_gpt2.py"
    task = ChildTask(file, text.encode(), 0, Limits())
    receiver, sender = os.pipe()
    if (process := os.fork()) == 0:
        try:
            sys.dont_write_bytecode = True  # as in a check
            sys.modules.pop(UNLOADED, None)
            report_accesses(task, lambda line, said: write_frame(sender, access_frame(line, said)))
            binding.execute(task.source, file, "accessing")
        finally:
            os._exit(0)
    os.close(sender)
    found = []
    while (frame := read_frame(receiver)) is not None:
        found.append(str(access_in(frame)))
    os.close(receiver)
    os.waitpid(process, 0)
    return found


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (f"f = getattr(__builtins__, 'op' + 'en')\nf({REFERENCE})", "reads solution.py, the ref"),
        (f"import pydoc\npydoc.importfile({REFERENCE})", "reads solution.py, the reference (line"),
        (
            "import threading\nfrom gpt2_small import binding\n"
            "t = threading.Thread(target=binding.read, args=[binding.reference_path()])\n"
            "t.start()\nt.join()",
            "reads solution.py, the reference",
        ),
        (
            f"import {UNLOADED}",
            "imports gpt2_small, the kit (line 1)",
        ),
        (
            f"open({str(Path(binding.__file__).parent / 'model' / 'twin.py')!r})",
            "reads model/twin.py, the kit (line 1)",
        ),
        ("__import__('solu' + 'tion')", "imports solution, the reference (line 1)"),
        ("open('/etc/../tmp/no such file')", "reads /tmp/no such file (line 1)"),
        ("import os\nos.open('left', os.O_WRONLY)", "writes "),
        ("import os\nos.rename('/no/such', '/no/file')", "changes /no/such (line 2)"),
        ("import os\nos.waitpid(os.fork() or os._exit(0), 0)", "starts a process (line 2)"),
        ("import socket\nsocket.getaddrinfo('localhost', 1)", "uses the network (line 2)"),
        ("import gc\ngc.get_objects()", "searches Python's objects (line 2)"),
        ("import sys\nsys.setprofile(None)", "traces Python's calls (line 2)"),
        (
            f"import os\nos.symlink({REFERENCE}, 'link.txt')\nopen('link.txt')",
            "reads solution.py, the reference (line 3)",
        ),
        (
            f"import os\nos.path.realpath = os.path.abspath = lambda path: '/dev/null'\n"
            f"open({REFERENCE})",
            "reads solution.py, the reference (line 3)",
        ),
        (
            f"import json, os\njson.dumps = lambda *a: ''\nos.write = lambda *a: 99\n"
            f"open({REFERENCE})",
            "reads solution.py, the reference (line 4)",
        ),
        ("f = lambda: 1\nf.__code__ = (lambda: 2).__code__", "changes a function's code (line 2)"),
        ("import marshal\nmarshal.dumps(1)", "stores or builds compiled code (line 2)"),
        ("f = lambda: 1\ntype(f)(f.__code__, {})", "stores or builds compiled code (line 2)"),
        ("run = {**__builtins__.__dict__}['ex' + 'ec']\nrun('a = 1')", "runs a text as code"),
    ],
)
def test_an_access_is_reported(
    text: str, report: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = text.replace("__builtins__", "__import__('builtins')")
    assert [one for one in accesses_of(text, tmp_path) if one.startswith(report)]


def test_a_file_of_its_own_folder_is_reported_as_run() -> None:
    """Also in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "own_norm.py").write_text("x = 1\n")
        text = f"import sys\nsys.path.insert(0, {folder!r})\nimport own_norm\n"
        found = accesses_of(text, Path(folder))
    assert found == ["runs its folder's own_norm.py (line 3)"]


@pytest.mark.parametrize(
    "text",
    [
        "import dataclasses\n\n@dataclasses.dataclass\nclass A:\n    x: int = 1",
        "import colorsys",
        "import warnings\nwarnings.warn('a')",
        "import torch\nassert torch.ones(2).sum() == 2",
        "open('/dev/null', 'w')",
    ],
)
def test_ordinary_code_is_not_reported(text: str, tmp_path: Path) -> None:
    assert accesses_of(text, tmp_path) == []


def test_temporary_files_are_reported_once_and_without_their_random_names(tmp_path: Path) -> None:
    text = (
        "import tempfile\nfor _ in range(9):\n"
        "    with tempfile.TemporaryDirectory() as folder:\n"
        "        open(folder + '/a', 'w').close()"
    )
    assert accesses_of(text, tmp_path) == ["uses temporary files (line 3)"]


def test_each_access_is_reported_once(tmp_path: Path) -> None:
    text = "for _ in range(9):\n    try:\n        open('gone')\n    except OSError:\n        pass"
    assert len(accesses_of(text, tmp_path)) == 1


def test_a_verdict_lists_a_disguised_use_of_the_reference(tmp_path: Path) -> None:
    text = reference_with() + (
        "\n\nkit = vars(torch)['s' + 'ys'].modules['gpt2_small.binding']\n"
        "LayerNorm = kit.load(kit.reference_path()).LayerNorm\n"
    )
    verdict = check_text(tmp_path, text, "LayerNorm", naming=False, checker=started_checker())
    line = text[: text.index("kit.load")].count("\n") + 1
    assert verdict.accesses == [f"reads solution.py, the reference (line {line})"]
