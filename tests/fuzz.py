"""Run random command lines and open damaged files: each must end without a traceback, in time.

    python tests/fuzz.py                                2,000 command lines, 500 damaged files
    python tests/fuzz.py --commands 50 --files 0 --seed 7
    python tests/fuzz.py --only train,prepare
    python tests/fuzz.py --patience 5                   on a machine that does other things, too

The commands and their options are read from the program itself, so that new ones are covered. Every
case runs in a process and a folder of its own, from a seed that is printed with a failure. A
command that would run on (a server, a long training) is interrupted as a person would do it, and
must then end. Exit code 1 when anything failed.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer.main

os.environ["HF_HUB_OFFLINE"] = "1"

from forked import Fork, the_forks
from fuzz_words import ASSIGNMENTS, FILES, NUMBERS, TEXTS, USUAL, values_of
from small_runs import PLAY, flags

from gpt2_small import cli

LIMIT = 60.0
QUESTION = {
    "ctx": "A man sits",
    "ctx_a": "A man",
    "ctx_b": "sits",
    "activity_label": "Sitting",
    "endings": ["on a chair.", "under a king.", "in the air.", "no."],
    "label": 0,
}
INTERRUPT_AFTER, AGAIN_AFTER = 15.0, 3.0
EXPECTED_CODES = {0, 1, 2, 130, 128 + signal.SIGINT, -signal.SIGINT}
NOT_OURS = ("Traceback (most recent call last)", "Segmentation fault", "panicked at")


@dataclass(frozen=True)
class Case:
    """A command line to run in a folder, and the seed that made it."""

    arguments: list[str]
    folder: Path
    about: str


def usual_words(command: str) -> list[str]:
    return list(USUAL.get(command, []))


def commands() -> dict[str, Any]:
    """The program's commands by name, as click knows them."""
    group: Any = typer.main.get_command(cli.app)
    return dict(group.commands)


def random_words(command: Any, rng: random.Random) -> list[str]:
    """Arguments for a command: usual ones, with options drawn beside or instead of them."""
    words = usual_words(command.name) if rng.random() < 0.6 else []
    for parameter in command.params:
        if rng.random() > (0.5 if parameter.param_type_name == "argument" else 0.25):
            continue
        values = [value_for(parameter, rng) for _ in range(max(1, abs(parameter.nargs)))]
        if parameter.param_type_name == "argument":
            words += values
        elif getattr(parameter, "is_flag", False):
            words.append(parameter.opts[0])
        else:
            words += [parameter.opts[0], *values]
    if rng.random() < 0.1 and words:
        words.insert(rng.randrange(len(words)), rng.choice(TEXTS))
    return [word.replace("\0", "") for word in words]


def value_for(parameter: Any, rng: random.Random) -> str:
    """A value that a parameter may get: often of its type, sometimes anything."""
    if parameter.name in ("set_", "set"):
        return rng.choice(ASSIGNMENTS)
    known = values_of(parameter.name)
    if known and rng.random() < 0.7:
        return rng.choice(known)
    kind = kind_of(parameter) if rng.random() < 0.9 else "text"
    if kind in ("int", "float"):
        return rng.choice(NUMBERS)
    return rng.choice(FILES if kind == "path" else (*TEXTS, *FILES))


def kind_of(parameter: Any) -> str:
    """`int`, `float`, `path` or `text`, as typer or click describe a parameter."""
    described = str(getattr(parameter, "type_descriptor", None) or parameter.type).lower()
    return next((kind for kind in ("int", "float", "path") if kind in described), "text")


# What there is to be read


def make_fixtures(folder: Path) -> None:
    """Files as a user has them: a text, a run, shards, an export, a learner's file, odd ones."""
    (folder / "play.txt").write_text(PLAY)
    rows = [json.dumps({"text": line}) for line in PLAY.splitlines() if line]
    (folder / "rows.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "my_gpt2.py").write_text("raise NotImplementedError\n")
    (folder / "wrong.py").write_text("def f(:\n")
    (folder / "empty").touch()
    (folder / "binary").write_bytes(bytes(range(256)) * 40)
    (folder / "folder").mkdir()
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nothing")
    settings = flags(max_steps=6, checkpoint_every=2, keep=2)
    train = ["train", "--preset", "characters", "--data", "play.txt", "--out", "run", *settings]
    (folder / "talks.jsonl").write_text("".join(map(conversation, range(40))))
    (folder / "choices.jsonl").write_text((json.dumps(QUESTION) + "\n") * 3)
    (folder / "class").mkdir()
    for name in ("ann", "bob"):
        (folder / "class" / f"{name}.py").write_text("def f(:\n")
    (folder / "tasks").mkdir()
    (folder / "tasks" / "broken.yaml").write_text("task: [\n")
    chat = ["train", "--preset", "chat-oasst", "--data", "chats", "--out", "chat-run", *settings]
    chat += ["--set", "n_ctx=32"]
    for words in (
        train,
        ["prepare", "play.txt", "--out", "shards", "--tokenizer", "byte"],
        ["prepare", "talks.jsonl", "--chat", "--out", "chats", "--tokenizer", "byte-chat"],
        chat,
        ["export", "run", "export"],
        ["start", "begun.py"],
        ["start", "lesson.py", "--lesson", "bigram"],
    ):
        fork = start(Case(words, folder, ""))
        assert fork.wait() == 0, fork.err


def conversation(number: int) -> str:
    """A line of a file of conversations."""
    turns = (("user", f"Is it {number}?"), ("assistant", "It is."))
    return json.dumps({"messages": [dict(role=r, content=text) for r, text in turns]}) + "\n"


def start(case: Case) -> Fork:
    """Run a case; the process is not waited for."""
    cache = {"XDG_CACHE_HOME": str(case.folder / ".cache"), "HF_HUB_OFFLINE": "1"}
    before = f"import os\nos.chdir({str(case.folder)!r})\nos.environ.update({cache!r})\n"
    return the_forks().start(*case.arguments, before=before)


def failure_of(case: Case, patience: float = 1.0) -> str | None:
    """Run a case to its end, and say what was wrong with it; None when nothing was.

    patience: how many times longer than usual it may take.
    """
    fork, begun, interrupts = start(case), time.monotonic(), 0
    while fork.poll() is None:
        taken = time.monotonic() - begun
        if taken > LIMIT * patience:
            os.killpg(fork.pid, signal.SIGKILL)
            fork.wait()
            return f"did not end within {LIMIT * patience:g} seconds"
        if taken > INTERRUPT_AFTER + interrupts * AGAIN_AFTER and interrupts < 2:
            fork.send(signal.SIGINT)
            interrupts += 1
        time.sleep(0.01)
    said = fork.err + fork.out
    if any(sign in said for sign in NOT_OURS):
        return f"exit code {fork.code}, {said.strip().splitlines()[-1][:200]}"
    if fork.code not in EXPECTED_CODES:
        return f"exit code {fork.code}, {said[-200:]}"
    if fork.code == 2 and not fork.err.strip():
        return "exit code 2 without a sentence"
    return None


# Damage


def json_nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value with a key or an index into it."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in items:
        yield value, key
        if isinstance(child, dict | list):
            yield from json_nodes(child)


WRONG_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    1.5,
    "",
    "x",
    [],
    {},
    [[]],
    "../../etc/passwd",
)


def damage_json(path: Path, rng: random.Random) -> None:
    """Change, remove or rename one value of a JSON file, or of one of its lines."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    number = rng.randrange(len(lines))
    content = json.loads(lines[number])
    container, key = rng.choice(list(json_nodes(content)) or [(content, None)])
    if key is not None and rng.random() < 0.7:
        container[key] = rng.choice(WRONG_VALUES)
    elif isinstance(container, dict) and key is not None:
        container[f"{key}x"] = container.pop(key)
    lines[number] = json.dumps(content)
    path.write_text("\n".join(lines) + "\n")


def damage_bytes(path: Path, rng: random.Random) -> None:
    """Flip bits, cut, extend or replace the content of a file."""
    content = bytearray(path.read_bytes())
    way = rng.choice(["flip", "flip", "cut", "extend", "random", "empty", "deep", "zeros"])
    if way == "flip" and content:
        for _ in range(rng.choice([1, 3, 20])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif way == "cut":
        content = content[: rng.randrange(len(content) + 1)]
    elif way == "extend":
        content += rng.randbytes(rng.choice([1, 2, 1000]))
    elif way == "zeros":
        content = bytearray(len(content))
    else:
        content = bytearray({"random": rng.randbytes(500), "deep": b"[" * 100_000}.get(way, b""))
    path.write_bytes(bytes(content))


def damage_kind(path: Path, rng: random.Random) -> None:
    """Put something else in a file's place: nothing, a folder, a link, a pipe."""
    path.unlink()
    way = rng.choice(["nothing", "folder", "dangling", "loop", "unreadable", "pipe"])
    if way == "folder":
        path.mkdir()
    elif way == "dangling":
        path.symlink_to("nothing")
    elif way == "loop":
        path.symlink_to(path.name)
    elif way == "unreadable":
        path.write_bytes(b"{}")
        path.chmod(0)
    elif way == "pipe":
        os.mkfifo(path)


# The commands that read each fixture.
READERS: dict[str, list[list[str]]] = {
    "run": [
        ["train", "--out", "run", "--resume", "--max-steps", "7"],
        ["sample", "--model", "run", "--prompt", "KING", "--max-new-tokens", "2"],
        ["export", "run", "new"],
        ["evaluate", "run", "--data", "play.txt"],
    ],
    "shards": [
        [
            "train",
            "--preset",
            "characters",
            "--data",
            "shards",
            "--out",
            "new",
            *flags(max_steps=1),
        ],
        ["prepare", "play.txt", "--out", "shards", "--tokenizer", "byte"],
        ["evaluate", "run", "--data", "shards"],
    ],
    "export": [
        ["sample", "--model", "export", "--prompt", "KING", "--max-new-tokens", "2"],
        ["evaluate", "export", "--data", "play.txt"],
    ],
    "chats": [
        ["train", "--preset", "chat-oasst", "--data", "chats", "--out", "new", *flags(n_ctx=32)],
        ["prepare", "chats", "--show", "2"],
        ["prepare", "talks.jsonl", "--chat", "--out", "chats", "--tokenizer", "byte-chat"],
    ],
    "chat-run": [
        ["chat", "chat-run", "Hello", "--max-new-tokens", "3"],
        ["train", "--out", "chat-run", "--resume", "--max-steps", "7"],
    ],
    "rows.jsonl": [["prepare", "rows.jsonl", "--out", "new", "--tokenizer", "byte"]],
    "talks.jsonl": [
        ["prepare", "talks.jsonl", "--chat", "--out", "new", "--tokenizer", "byte-chat"]
    ],
    "choices.jsonl": [["evaluate", "run", "--choices", "choices.jsonl"]],
    "begun.py": [["check", "begun.py", "--component", "LayerNorm"], ["show", "MLP"]],
    "lesson.py": [["check", "lesson.py"]],
}


def damaged_case(folder: Path, rng: random.Random, about: str) -> Case:
    """A fixture with one damaged file, and a command that reads it."""
    known = commands()
    name = rng.choice(list(READERS))
    readers = [words for words in READERS[name] if words[0] in known]
    place = folder / name
    files = sorted(path for path in place.rglob("*") if path.is_file()) or [place]
    path = rng.choice(files)
    ways: list[Callable[[Path, random.Random], None]] = [damage_bytes, damage_kind]
    ways += [damage_json] * 3 if path.suffix in (".json", ".jsonl") else []
    way = rng.choice(ways)
    way(path, rng)
    return Case(rng.choice(readers), folder, f"{about}: {way.__name__} of {path.name}")


# The whole


@dataclass(frozen=True)
class Fuzz:
    """Cases in copies of one folder of fixtures."""

    seed: int
    fixtures: Path
    scratch: Path
    only: tuple[str, ...] = ()
    patience: float = 1.0

    def command_case(self, number: int) -> Case:
        rng = random.Random(f"command {self.seed} {number}")
        known = commands()
        command = known[rng.choice([name for name in known if not self.only or name in self.only])]
        words = [command.name, *random_words(command, rng)]
        return Case(words, self.copy(f"command-{number}"), f"command {self.seed} {number}")

    def file_case(self, number: int) -> Case:
        rng = random.Random(f"file {self.seed} {number}")
        return damaged_case(self.copy(f"file-{number}"), rng, f"file {self.seed} {number}")

    def copy(self, name: str) -> Path:
        return Path(shutil.copytree(self.fixtures, self.scratch / name, symlinks=True))

    def failures(self, cases: Iterator[Case]) -> Iterator[str]:
        """Run each case; yield a line for each that failed."""
        for case in cases:
            failure = failure_of(case, self.patience)
            shutil.rmtree(case.folder, ignore_errors=True)
            if failure is not None:
                yield f"{case.about}: {case.arguments!r}: {failure}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--commands", type=int, default=2000)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", default="", help="commands, with commas between them")
    parser.add_argument("--patience", type=float, default=1.0, help="factor of the time limit")
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        fixtures = Path(folder) / "fixtures"
        fixtures.mkdir()
        make_fixtures(fixtures)
        only = tuple(filter(None, arguments.only.split(",")))
        fuzz = Fuzz(arguments.seed, fixtures, Path(folder), only, arguments.patience)
        first = arguments.first
        for count, make in (
            (arguments.commands, fuzz.command_case),
            (arguments.files, fuzz.file_case),
        ):
            for failure in fuzz.failures(map(make, range(first, first + count))):
                failed += 1
                print(failure, flush=True)
    print(f"{arguments.commands} command lines, {arguments.files} damaged files: {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
