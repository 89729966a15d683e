"""Test errors for users: the nearest known name, held locks, damaged files."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gpt2_small
from gpt2_small.errors import UserError, did_you_mean, shell_word
from gpt2_small.files.hashes import MANIFEST, MANIFEST_FORMAT, verified
from gpt2_small.files.json_files import read_json_object
from gpt2_small.files.locks import locked

NAMES = ("openwebtext", "TinyStories", "stories")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("openwebtxt", "did you mean openwebtext?"),
        ("OPENWEBTEXT", "did you mean openwebtext?"),
        ("tinystory", "did you mean TinyStories?"),
        ("xyz", "choose one"),
    ],
)
def test_the_nearest_name_is_suggested_in_any_case(name, sentence):
    assert did_you_mean(name, NAMES, otherwise="choose one") == sentence


def test_a_lock_held_by_another_process_is_reported_in_one_sentence(tmp_path):
    program = (
        "import sys\nfrom pathlib import Path\nfrom gpt2_small.files.locks import locked\n"
        "with locked(Path(sys.argv[1]), in_use='in use'):\n    print('held', flush=True)\n"
        "    sys.stdin.read()"
    )
    path = tmp_path / "new/lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=r"^in use$"), locked(path, in_use="in use"):
            pass
        holder.communicate("")
    with locked(path, in_use="in use"):
        pass


def test_a_lock_in_a_folder_that_cannot_be_created_is_reported_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot write .*file \("),
        locked(tmp_path / "file/lock", in_use="in use"),
    ):
        pass


def test_deeply_nested_json_is_reported_in_one_sentence(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text('{"a": ' + "[" * 200_000)
    with pytest.raises(UserError, match=r"deep\.json is damaged"):
        read_json_object(path)


def test_a_manifest_whose_files_are_a_list_is_refused(tmp_path):
    (tmp_path / MANIFEST).write_text(json.dumps({"format": MANIFEST_FORMAT, "files": []}))
    with pytest.raises(UserError, match=r"does not list config\.json"):
        verified(tmp_path, "config.json")


@pytest.mark.parametrize(
    "name", [b"plain.txt", b"two words", b"it's", b"caf\xe9", b"a\nb\\c'd", "ünï".encode(), b""]
)
def test_a_printed_command_names_the_exact_file(name):
    word = shell_word(os.fsdecode(name))
    assert word.isprintable()
    echoed = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True)
    assert echoed.stdout == name


def is_user_error(called: ast.expr) -> bool:
    return isinstance(called, ast.Name) and called.id == "UserError"


def test_no_error_ends_with_a_full_stop() -> None:
    stopped = []
    for path in sorted(Path(gpt2_small.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and is_user_error(node.func) and node.args:
                said = node.args[0]
                last = said.values[-1] if isinstance(said, ast.JoinedStr) else said
                text = getattr(last, "value", None)
                if isinstance(text, str) and re.search(r"[^.]\.$", text):
                    stopped.append(f"{path.name}:{node.lineno} {text}")
    assert stopped == []
