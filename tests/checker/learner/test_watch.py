"""Test watching a file: the order of checks, and messages."""

import hashlib
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from gpt2_small import UserError, binding
from gpt2_small.checker.learner import skeleton as exercises
from gpt2_small.checker.learner.watching import watcher as watch
from gpt2_small.checker.learner.watching.background_check import CheckMessage
from gpt2_small.checker.learner.watching.watch_screens import WatchLines, WatchScreen
from gpt2_small.checker.learner.watching.watch_state import FileState, Notice
from gpt2_small.checker.parts import PARTS
from gpt2_small.checker.verdict import PartReport, Result, Verdict

LOOKS = 20


def verdict_on(text: bytes, states: dict[str, str], **reports: PartReport) -> Verdict:
    results = [
        Result(part, "A claim", state, message="" if state == "passed" else "it is off", line=7)
        for part, state in states.items()
    ]
    return Verdict("my_gpt2.py", hashlib.sha256(text).hexdigest(), results, reports)


@pytest.fixture
def lesson(file: Path) -> FileState:
    lesson = FileState(file, "my_gpt2.py")
    lesson.saved(hashlib.sha256(b"a").hexdigest(), list(PARTS))
    lesson.take(verdict_on(b"a", dict.fromkeys(PARTS, "not_written")))
    return lesson


def test_a_part_that_begins_to_pass_is_reported_as_finished(lesson: FileState) -> None:
    assert lesson.take(verdict_on(b"a", {"MLP": "passed"})) == [Notice("finished", "MLP")]
    assert lesson.done() == ["MLP"]


def test_a_part_that_still_passes_is_not_reported_again(lesson: FileState) -> None:
    lesson.take(verdict_on(b"a", {"MLP": "passed"}))
    assert lesson.take(verdict_on(b"a", {"MLP": "passed"})) == [Notice("verdict", "MLP")]


def test_a_verdict_on_an_older_text_is_ignored(lesson: FileState) -> None:
    assert lesson.take(verdict_on(b"older", {"MLP": "passed"})) == []
    assert lesson.done() == []


def test_of_results_that_arrive_one_by_one_the_first_failed_one_is_shown(lesson: FileState) -> None:
    lesson.saved(hashlib.sha256(b"b").hexdigest(), ["MLP"])
    for claim in ("First", "Second"):
        lesson.take_result(Result("MLP", claim, "failed", message="it is off", line=7))
    assert [result.check for result in lesson.verdict().of("MLP")] == ["First"]
    lesson.saved(hashlib.sha256(b"c").hexdigest(), ["MLP"])
    lesson.take_result(Result("MLP", "Third", "failed", message="it is off", line=7))
    assert [result.check for result in lesson.verdict().of("MLP")] == ["Third"]


def test_a_file_is_done_only_when_all_parts_pass_together(lesson: FileState) -> None:
    for part in PARTS:
        events = lesson.take(verdict_on(b"a", {part: "passed"}))
        assert Notice("whole") not in events
    assert lesson.take(verdict_on(b"a", dict.fromkeys(PARTS, "passed")))[-1] == Notice("whole")


def test_progress_is_saved_for_the_next_start(lesson: FileState) -> None:
    lesson.take(verdict_on(b"a", {"MLP": "passed"}))
    assert FileState(lesson.path, "my_gpt2.py").progress.done == ["MLP"]


def test_n_selects_the_next_unfinished_part_and_then_the_first(lesson: FileState) -> None:
    lesson.take(verdict_on(b"a", {part: "passed" for part in PARTS if part not in PARTS[3:5]}))
    assert [lesson.next_part() for _ in range(3)] == [PARTS[3], PARTS[4], PARTS[3]]


def test_a_hint_explains_the_named_mistake(lesson: FileState) -> None:
    report = PartReport(("layer-norm-no-epsilon",), "Your LayerNorm ...")
    lesson.take(verdict_on(b"a", {"LayerNorm": "failed"}, LayerNorm=report))
    (event,) = lesson.give_hint()
    assert "equal" in event.text
    assert lesson.progress.hints == {"layer-norm-no-epsilon": 1}


def test_there_is_no_hint_before_the_first_verdict(tmp_path: Path) -> None:
    fresh = FileState(tmp_path / "my_gpt2.py", "my_gpt2.py")
    fresh.saved(hashlib.sha256(b"a").hexdigest(), list(PARTS))
    assert fresh.give_hint() == []
    fresh.take(verdict_on(b"a", dict.fromkeys(PARTS, "not_written")))
    assert [event.part for event in fresh.give_hint()] == [PARTS[0]]


class Prompt:
    """A background checker that answers at once: a part passes when its text says so."""

    def __init__(self, path: Path) -> None:
        self.path, self.asked, self.waiting = path, [], []

    def ask(self, groups: Sequence[Sequence[str]]) -> None:
        self.asked.append([tuple(group) for group in groups])
        self.waiting = list(groups)

    def news(self) -> list[CheckMessage]:
        if not self.waiting:
            return []
        parts, text = self.waiting.pop(0), self.path.read_bytes()
        state = {p: "passed" if f"{p} = 1".encode() in text else "not_written" for p in parts}
        return [CheckMessage(1, parts, verdict_on(text, state))]

    def is_busy(self) -> bool:
        return bool(self.waiting)


@pytest.fixture
def terminal() -> Console:
    return Console(file=StringIO(), width=80, height=24, force_terminal=True, no_color=True)


def watched(
    file: Path, face: WatchScreen | WatchLines, monkeypatch: pytest.MonkeyPatch
) -> watch.Watch:
    monkeypatch.setattr(watch, "BackgroundCheck", Prompt)
    return watch.Watch(file, file.name, face)


def settle(watched: watch.Watch, *keys: str) -> None:
    for pressed in [*keys, *[""] * LOOKS, *[""] * len(PARTS)]:
        watched.step(pressed)


def screen_of(terminal: Console) -> list[str]:
    *_, last = terminal.file.getvalue().split("\x1b[H\x1b[2J")  # type: ignore[attr-defined]
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in last.splitlines()]


ALL_WRITTEN = "".join(f"{part} = 1\n" for part in PARTS)


def test_the_changed_part_is_checked_first_and_then_all_others(
    file: Path, terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = exercises.skeleton()
    file.write_text(text)
    watched_file = watched(file, WatchScreen(terminal), monkeypatch)
    settle(watched_file)
    body = exercises.reference_body("sample")
    file.write_text(exercises.with_body(text, "sample", body))
    settle(watched_file)
    first, *others = watched_file._background.asked[-1]
    assert first == ("sample",)
    assert sorted(others) == sorted((part,) for part in PARTS if part != "sample")


def test_when_every_part_passes_they_are_checked_together_once_and_celebrated(
    file: Path, terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched_file = watched(file, WatchScreen(terminal), monkeypatch)
    settle(watched_file)
    file.write_text(ALL_WRITTEN)
    settle(watched_file)
    assert watched_file._background.asked[2:] == [[PARTS]]
    assert any("You have written GPT-2" in line for line in screen_of(terminal))


def test_a_save_in_another_encoding_is_refused_in_the_words_of_check(
    file: Path, terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(exercises.skeleton())
    watched_file = watched(file, WatchScreen(terminal), monkeypatch)
    settle(watched_file)
    file.write_bytes(exercises.skeleton().encode("utf-16"))
    settle(watched_file)
    with pytest.raises(UserError, match="save it as UTF-8") as refused:
        binding.read(file)
    assert watched_file.state.problem == str(refused.value)
    assert "save it as UTF-8" in " ".join(screen_of(terminal))
    file.write_text(exercises.skeleton())
    settle(watched_file)
    assert watched_file.state.problem is None


def test_a_screen_is_never_taller_than_the_terminal_and_ends_with_the_keys(
    file: Path, terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched_file = watched(file, WatchScreen(terminal), monkeypatch)
    settle(watched_file)
    lesson = watched_file.state
    sha = hashlib.sha256(file.read_bytes()).hexdigest()
    long = Result("LayerNorm", "A claim", "failed", message="very long " * 400)
    lesson.take(Verdict("my_gpt2.py", sha, [long]))
    settle(watched_file)
    lines = screen_of(terminal)
    assert len(lines) == 24
    assert "..." in lines
    assert lines[-2].startswith("h hint")
    assert ".my_gpt2.progress.json" in lines[-1]


def test_t_shows_all_parts_and_shows_one_again(
    file: Path, terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched_file = watched(file, WatchScreen(terminal), monkeypatch)
    settle(watched_file, "t")
    assert all(any(part in line for line in screen_of(terminal)) for part in PARTS)
    settle(watched_file, "t")
    assert not any("parameter_groups" in line for line in screen_of(terminal))


def test_n_shows_the_next_part_of_which_h_gives_a_hint(
    file: Path, terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched_file = watched(file, WatchScreen(terminal), monkeypatch)
    settle(watched_file)
    settle(watched_file, "n", "n")
    assert any(line.startswith(f"Next: {PARTS[1]}. ") for line in screen_of(terminal))
    settle(watched_file, "h")
    assert any(line.startswith(f"{PARTS[1]}, hint 1 of ") for line in screen_of(terminal))


def test_after_the_last_hint_the_screen_says_how_to_show_the_reference(
    file: Path, terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched_file = watched(file, WatchScreen(terminal), monkeypatch)
    settle(watched_file)
    said = "That was the last one. The reference: gpt2-small show LayerNorm"
    settle(watched_file, "h", "h")
    assert not any(line.startswith(said) for line in screen_of(terminal))
    settle(watched_file, "h")
    assert any(line.startswith(said) for line in screen_of(terminal))


def test_h_shows_a_hint_and_a_save_takes_it_away(
    file: Path, terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched_file = watched(file, WatchScreen(terminal), monkeypatch)
    settle(watched_file)
    settle(watched_file, "h")
    assert any(line.startswith("LayerNorm, hint 1 of 3: ") for line in screen_of(terminal))
    file.write_text("b = 1\n")
    settle(watched_file)
    assert not any(", hint 1 of" in line for line in screen_of(terminal))


def test_an_unchanged_screen_is_not_drawn_again(
    file: Path, terminal: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched_file = watched(file, WatchScreen(terminal), monkeypatch)
    settle(watched_file)
    painted = terminal.file.getvalue()  # type: ignore[attr-defined]
    settle(watched_file)
    assert terminal.file.getvalue() == painted  # type: ignore[attr-defined]


def test_without_a_terminal_only_changes_are_printed_as_plain_lines(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = Console(file=StringIO(), width=80)
    watched_file = watched(file, WatchLines(console), monkeypatch)
    settle(watched_file)
    file.write_text("MLP = 1\n")
    settle(watched_file)
    file.unlink()
    settle(watched_file)
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "0 of 15 parts done.",
        "Hints and progress are saved in .my_gpt2.progress.json, beside your file.",
        "MLP is done! 1 of 15 parts.",
        "my_gpt2.py is gone; waiting for it to come back",
    ]
