"""Preparations that are killed, interrupted, or begun twice."""

import itertools
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shard_folders import bytes_of, json_lines, made, written

from gpt2_small.data import (
    prepare,
    prepare_options,
    shard_writer,
    sources,
)
from gpt2_small.data import (
    unfinished_folder as unfinished,
)
from gpt2_small.data.prepare import Progress
from gpt2_small.data.prepare_options import Options
from gpt2_small.errors import UserError

TESTS = Path(__file__).parent
PLAY = "".join(f"Line {number} of a play,\n\nspoken by nobody  .\t\n" for number in range(300))
SMALL = {"PIECE_CHARACTERS": 100, "BATCH_CHARACTERS": 300, "BATCH_PIECES": 7}

# Ends a preparation with a signal to itself, before or after the call with this number.
ENDED = """
import os, sys
from gpt2_small import cli
from gpt2_small.data import prepare, shard_writer, sources, unfinished_folder as unfinished

sources.PIECE_CHARACTERS, prepare.BATCH_CHARACTERS, prepare.BATCH_PIECES = 100, 300, 7
prepare.SAVE_SECONDS = prepare.prepare.__kwdefaults__["save_seconds"] = 0
where, name, number, signum = sys.argv[1:5]
owner = {"writer": shard_writer.SplitWriter, "state": unfinished.Unfinished}[where]
whole, calls = getattr(owner, name), 0

def counted(self, *arguments, **keywords):
    global calls
    calls += 1
    if calls == int(number):
        os.kill(os.getpid(), int(signum))
    result = whole(self, *arguments, **keywords)
    if calls == -int(number):
        os.kill(os.getpid(), int(signum))
    return result

setattr(owner, name, counted)
sys.argv[1:5] = ["prepare"]
cli.main()
"""


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    """These tests save after every batch; that the disk has it all is not what they are about."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(sources, "PIECE_CHARACTERS", SMALL["PIECE_CHARACTERS"])
    monkeypatch.setattr(prepare, "BATCH_CHARACTERS", SMALL["BATCH_CHARACTERS"])
    monkeypatch.setattr(prepare, "BATCH_PIECES", SMALL["BATCH_PIECES"])


@pytest.fixture
def play(tmp_path):
    path = tmp_path / "play.txt"
    path.write_bytes(PLAY.encode())
    return path


def ended(text, folder, where, name, number, *flags, by=signal.SIGKILL):
    """The command, ended by a signal at a call."""
    arguments = [where, name, number, int(by), text, "--out", folder, *flags]
    return subprocess.run(
        [sys.executable, "-c", ENDED, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def steps(text, folder, **options):
    return prepare.prepare(str(text), folder, Options(**options), processes=1, save_seconds=0)


def tokens_taken_up(text, folder, **options):
    """Finish a preparation, and give how many tokens it did not have to make again."""
    every = list(steps(text, folder, **options))
    return next(step.tokens for step in every if step.stage == "tokens")


# Calls before which, or where the number is negative after which, it is killed: while tokens are
# appended, while a shard is closed, while a state is saved, and at the moves at the end.
KILLS = [
    ("writer", "append", 9),
    ("writer", "append", -16),
    ("writer", "close", 2),
    ("writer", "close", -5),
    ("writer", "save", 12),
    ("state", "save", -4),
    ("state", "publish", 1),
    ("state", "publish", -1),
]
OWNERS = {"writer": shard_writer.SplitWriter, "state": unfinished.Unfinished}
CUT = {"tokenizer": "byte", "kind": "npy", "shard_tokens": 1500}
CUT_FLAGS = ["--tokenizer", "byte", "--format", "npy", "--shard-tokens", "1500"]


class Killed(BaseException):
    """What nobody catches."""


def killed_here(text, folder, monkeypatch, where, name, number, **options):
    """The same without another process: what follows the call never happens."""
    whole, calls = getattr(OWNERS[where], name), 0

    def counted(self, *arguments, **keywords):
        nonlocal calls
        calls += 1
        if calls == number:
            raise Killed
        result = whole(self, *arguments, **keywords)
        if calls == -number:
            raise Killed
        return result

    with monkeypatch.context() as patch:
        patch.setattr(OWNERS[where], name, counted)
        with pytest.raises(Killed):
            list(steps(text, folder, **options))


def check_that_it_goes_on(text, folder, whole, **options):
    if not (folder / "shards.json").exists():
        shutil.copytree(folder, folder.with_name("as it was left"))
        every = list(steps(text, folder, **options))
        kept = json.loads(
            (folder.with_name("as it was left") / "unfinished/progress.json").read_text()
        )
        is_closed = "index" in kept
        assert is_closed or next(step.tokens for step in every if step.stage == "tokens") > 0
    assert bytes_of(folder) == bytes_of(whole)


@pytest.mark.parametrize(("where", "name", "number"), KILLS)
def test_stopped_at_any_place_it_ends_with_the_same_bytes(
    tmp_path, play, small_batches, monkeypatch, where, name, number
):
    whole = made(play, tmp_path / "whole", **CUT)
    killed_here(play, tmp_path / "out", monkeypatch, where, name, number, **CUT)
    check_that_it_goes_on(play, tmp_path / "out", whole, **CUT)


@pytest.mark.parametrize(("where", "name", "number"), [KILLS[0], KILLS[3], KILLS[6]])
def test_killed_with_kill_9_it_ends_with_the_same_bytes(
    tmp_path, play, small_batches, where, name, number
):
    whole = made(play, tmp_path / "whole", **CUT)
    result = ended(play, tmp_path / "out", where, name, number, *CUT_FLAGS)
    assert result.returncode == -signal.SIGKILL, result.stderr
    check_that_it_goes_on(play, tmp_path / "out", whole, **CUT)


def test_a_preparation_of_json_lines_goes_on_within_the_file(tmp_path, small_batches, monkeypatch):
    path = json_lines(tmp_path / "some.jsonl", [*written(150), "", *written(150, seed=1)])
    whole = made(path, tmp_path / "whole", tokenizer="byte")
    folder = tmp_path / "out"
    killed_here(path, folder, monkeypatch, "writer", "append", 61, tokenizer="byte")
    check_that_it_goes_on(path, folder, whole, tokenizer="byte")


@pytest.mark.parametrize("kind", ["bin", "npy"])
def test_stopped_again_and_again_it_ends_with_the_same_bytes(
    tmp_path, play, small_batches, kind, monkeypatch
):
    options = {"tokenizer": "byte", "kind": kind, "shard_tokens": 777}
    whole = made(play, tmp_path / "whole", **options)
    folder, taken_up = tmp_path / "out", []
    for _ in range(100):
        several = itertools.islice(steps(play, folder, **options), 5)
        taken_up.append(max((step.tokens for step in several), default=0))
        if (folder / "shards.json").exists():
            break
    assert taken_up == sorted(taken_up)
    assert len(taken_up) > 5
    assert bytes_of(folder) == bytes_of(whole)


def test_a_preparation_that_goes_on_at_the_wrong_place_would_be_seen(
    tmp_path, play, small_batches, monkeypatch
):
    whole = made(play, tmp_path / "whole", **CUT)
    killed_here(play, tmp_path / "out", monkeypatch, "writer", "append", 21, **CUT)
    pieces = sources.TextFile.pieces

    def one_too_many(self, place):
        every = pieces(self, place)
        next(every)
        return every

    monkeypatch.setattr(sources.TextFile, "pieces", one_too_many)
    list(steps(play, tmp_path / "out", **CUT))
    assert bytes_of(tmp_path / "out") != bytes_of(whole)


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_says_how_it_goes_on(tmp_path, play, small_batches, by, code):
    folder = tmp_path / "out"
    result = ended(play, folder, "writer", "append", 20, "--tokenizer", "byte", by=by)
    assert result.returncode == code
    assert result.stderr == ""
    assert re.search(r"Interrupted after [\d,]+ tokens\. The same command goes on", result.stdout)
    assert tokens_taken_up(play, folder, tokenizer="byte") > 0
    assert bytes_of(folder) == bytes_of(made(play, tmp_path / "whole", tokenizer="byte"))


def test_the_processes_of_a_killed_preparation_end_with_it(tmp_path, play):
    program = ENDED.replace(
        "    if calls == int(number):\n",
        "    if calls == int(number):\n"
        "        import multiprocessing\n"
        "        print(*(child.pid for child in multiprocessing.active_children()), flush=True)\n",
    )
    arguments = ["writer", "append", 5, 9, play, "--out", tmp_path / "out"]
    result = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments), "--processes", "2"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    pids = [int(pid) for pid in result.stdout.split()]
    assert result.returncode == -signal.SIGKILL
    assert len(pids) == 2
    deadline = time.monotonic() + 60
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "a process was left behind"
        time.sleep(0.05)


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_process_that_is_ended_from_outside_is_one_sentence_and_nothing_is_lost(
    tmp_path, play, small_batches
):
    folder = tmp_path / "out"
    going = prepare.prepare(
        str(play), folder, Options(tokenizer="byte"), processes=2, save_seconds=0
    )
    while next(going).tokens == 0:
        pass
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(UserError, match="one of the processes that tokenise was ended"):
        list(going)
    assert tokens_taken_up(play, folder, tokenizer="byte") > 0
    assert bytes_of(folder) == bytes_of(made(play, tmp_path / "whole", tokenizer="byte"))


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({"tokenizer": "byte"}, {}, "begun with --tokenizer byte, and now it is --tokenizer gpt2"),
        ({}, {"kind": "npy"}, "begun with --format bin, and now it is --format npy"),
        ({}, {"shard_tokens": 5}, "begun with no --shard-tokens, and now it is --shard-tokens 5"),
    ],
)
def test_a_folder_begun_with_other_settings_is_refused_with_both(tmp_path, play, before, now, said):
    folder = tmp_path / "out"
    list(itertools.islice(steps(play, folder, **{"tokenizer": "gpt2", **before}), 2))
    kept = bytes_of(folder)
    with pytest.raises(UserError, match=said):
        list(steps(play, folder, **{"tokenizer": "gpt2", **now}))
    assert bytes_of(folder) == kept


def test_a_text_that_has_changed_meanwhile_is_refused(tmp_path, play):
    folder = tmp_path / "out"
    list(itertools.islice(steps(play, folder, tokenizer="byte"), 2))
    play.write_text(PLAY + "One more line.\n")
    with pytest.raises(UserError, match=r"begun with sha256 of the text \w{12}\.\.\., and now"):
        list(steps(play, folder, tokenizer="byte"))


def test_the_same_text_elsewhere_is_gone_on_with(tmp_path, play, small_batches):
    folder = tmp_path / "out"
    list(itertools.islice(steps(play, folder, tokenizer="byte"), 9))
    (tmp_path / "elsewhere").mkdir()
    moved = play.rename(tmp_path / "elsewhere/play.txt")
    assert tokens_taken_up(moved, folder, tokenizer="byte") > 0


def test_another_text_is_refused_with_both_names(tmp_path, play):
    folder = tmp_path / "out"
    list(itertools.islice(steps(play, folder, tokenizer="byte"), 2))
    with pytest.raises(UserError, match=r"begun with the text play\.txt, .* the text stories;"):
        list(steps("stories", folder, tokenizer="byte"))


def test_a_finished_folder_is_left_as_it_is(tmp_path, play):
    folder = made(play, tmp_path / "out", tokenizer="byte")
    kept = bytes_of(folder)
    with pytest.raises(UserError, match="holds finished shards already"):
        list(steps(play, folder, tokenizer="byte"))
    assert bytes_of(folder) == kept


def test_a_folder_with_other_things_and_a_file_are_refused(tmp_path, play):
    with pytest.raises(UserError, match="is not empty and holds no shards"):
        list(steps(play, tmp_path, tokenizer="byte"))
    with pytest.raises(UserError, match="is a file"):
        list(steps(play, play, tokenizer="byte"))
    assert list(tmp_path.iterdir()) == [play]


def test_a_second_process_on_the_same_folder_is_turned_away(tmp_path, play):
    pytest.importorskip("fcntl")
    first = steps(play, tmp_path / "out", tokenizer="byte")
    next(first)
    with pytest.raises(UserError, match="another process is preparing"):
        next(steps(play, tmp_path / "out", tokenizer="byte"))
    assert list(first)[-1].stage == "done"


def test_a_disk_that_is_too_small_is_refused_with_both_numbers_before_anything_is_made(
    tmp_path, play, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2000))
    with pytest.raises(UserError, match=r"will take about 2[\d.]* kB, and .* has 2 kB free"):
        list(steps(play, tmp_path / "out", tokenizer="byte"))
    assert not (tmp_path / "out").exists()


def test_what_is_written_already_needs_no_more_room(tmp_path, play, small_batches, monkeypatch):
    folder = tmp_path / "out"
    needed = 2 * len(PLAY)
    every = steps(play, folder, tokenizer="byte")
    while 2 * next(every).tokens < needed // 2:
        pass
    every.close()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        prepare_options.shutil, "disk_usage", lambda path: usage._replace(free=needed // 2)
    )
    assert list(steps(play, folder, tokenizer="byte"))[-1].stage == "done"


def test_a_full_disk_is_one_sentence_and_what_was_saved_goes_on(
    tmp_path, play, small_batches, monkeypatch
):
    folder, opened = tmp_path / "out", []
    real = shard_writer.SplitWriter._open

    class Full:
        def write(self, data):
            raise OSError(28, "No space left on device")

    def full(self):
        opened.append(self)
        return Full() if len(opened) == 30 else real(self)

    with monkeypatch.context() as patch:
        patch.setattr(shard_writer.SplitWriter, "_open", full)
        with pytest.raises(UserError, match=r"cannot write .*train_000000\.bin \(No space left"):
            list(steps(play, folder, tokenizer="byte"))
    assert tokens_taken_up(play, folder, tokenizer="byte") > 0
    assert bytes_of(folder) == bytes_of(made(play, tmp_path / "whole", tokenizer="byte"))


def test_a_shard_that_lost_what_was_saved_is_refused(tmp_path, play, small_batches):
    folder = tmp_path / "out"
    list(itertools.islice(steps(play, folder, tokenizer="byte"), 10))
    os.truncate(folder / "unfinished/train_000000.bin", 100)
    with pytest.raises(UserError, match=r"train_000000\.bin should have at least [\d,]+ bytes"):
        list(steps(play, folder, tokenizer="byte"))


def test_progress_counts_what_was_there_before(tmp_path, play, small_batches):
    folder = tmp_path / "out"
    first = list(itertools.islice(steps(play, folder, tokenizer="byte"), 10))
    second = list(steps(play, folder, tokenizer="byte"))
    assert second[1] == first[-1]
    assert second[-1] == Progress(
        stage="done",
        documents=2,
        tokens=len(PLAY),
        bytes=len(PLAY),
        total_documents=None,
        total_bytes=len(PLAY),
    )
    fractions = [step.fraction for step in second]
    assert fractions[1:] == sorted(fractions[1:])
    assert fractions[-1] == 1


def test_an_unfinished_state_of_another_program_is_refused(tmp_path, play):
    (tmp_path / "out/unfinished").mkdir(parents=True)
    (tmp_path / "out/unfinished/progress.json").write_text("{}")
    with pytest.raises(UserError, match=r"progress\.json has the format "):
        list(steps(play, tmp_path / "out", tokenizer="byte"))
    assert unfinished.FORMAT == "gpt2-small-unfinished-shards/1"
