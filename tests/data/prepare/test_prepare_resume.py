"""Test killed, interrupted and concurrent preparations: the same bytes after resuming."""

import itertools
import json
import multiprocessing
import os
import random
import re
import shutil
import signal

import pytest
from forked import wait_until
from prepare_kills import Kills
from processes import is_running
from shard_folders import SPACED_PLAY, bytes_of, json_lines, made, steps_of, written

from gpt2_small.data import unfinished_folder as unfinished
from gpt2_small.data.corpora import text_files
from gpt2_small.data.prepare import PrepareProgress
from gpt2_small.data.shards import shard_writer
from gpt2_small.data.shards.opened_shards import open_shards
from gpt2_small.errors import UserError

# Kill before these calls (after them, if the number is negative): while tokens are appended, a
# shard is closed, a state is saved, and at the renames at the end.
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
OWNERS = {"writer": shard_writer.SplitWriter, "state": unfinished.UnfinishedFolder}
CUT = {"tokenizer": "byte", "kind": "npy", "shard_tokens": 1500}
CUT_FLAGS = ["--tokenizer", "byte", "--format", "npy", "--shard-tokens", "1500"]


@pytest.fixture(scope="module")
def kills(tmp_path_factory):
    kills = Kills(tmp_path_factory.mktemp("kills"))
    yield kills
    kills.close()


def tokens_kept(text, folder, **options):
    """Finish a preparation, and return the number of tokens that were not encoded again."""
    every = list(steps_of(text, folder, **options))
    return next(step.tokens for step in every if step.stage == "tokens")


class Killed(BaseException):
    """An exception that no code catches."""


def killed_here(text, folder, monkeypatch, where, name, number, **options):
    """Prepare in this process, and raise at a call."""
    original, calls = getattr(OWNERS[where], name), 0

    def counted(self, *arguments, **keywords):
        nonlocal calls
        calls += 1
        if calls == number:
            raise Killed
        result = original(self, *arguments, **keywords)
        if calls == -number:
            raise Killed
        return result

    with monkeypatch.context() as patch:
        patch.setattr(OWNERS[where], name, counted)
        with pytest.raises(Killed):
            list(steps_of(text, folder, **options))


def check_that_it_resumes(text, folder, uninterrupted, **options):
    if not (folder / "shards.json").exists():
        shutil.copytree(folder, folder.with_name("as left"))
        every = list(steps_of(text, folder, **options))
        kept = json.loads((folder.with_name("as left") / "unfinished/progress.json").read_text())
        is_closed = "index" in kept["progress"]
        assert is_closed or next(step.tokens for step in every if step.stage == "tokens") > 0
    assert bytes_of(folder) == bytes_of(uninterrupted)


@pytest.mark.parametrize(("where", "name", "number"), KILLS)
def test_a_preparation_stopped_anywhere_resumes_to_the_same_bytes(
    tmp_path, play, small_batches, monkeypatch, where, name, number
):
    uninterrupted = made(play, tmp_path / "whole", **CUT)
    killed_here(play, tmp_path / "out", monkeypatch, where, name, number, **CUT)
    check_that_it_resumes(play, tmp_path / "out", uninterrupted, **CUT)


@pytest.mark.parametrize("call", [KILLS[0], KILLS[3], KILLS[6]])
def test_a_preparation_killed_with_kill_9_resumes_to_the_same_bytes(
    tmp_path, play, small_batches, kills, call
):
    uninterrupted = made(play, tmp_path / "whole", **CUT)
    ended = kills.run(call, signal.SIGKILL, play, "--out", tmp_path / "out", *CUT_FLAGS)
    assert ended.code == -signal.SIGKILL, ended.err
    check_that_it_resumes(play, tmp_path / "out", uninterrupted, **CUT)


@pytest.mark.parametrize("following", ["train", "prepare"])
def test_progress_left_by_a_kill_at_the_end_is_removed_by_the_next_command(
    tmp_path, play, small_batches, kills, following
):
    uninterrupted, folder = made(play, tmp_path / "whole", **CUT), tmp_path / "out"
    ended = kills.run(("state", "remove", 1), signal.SIGKILL, play, "--out", folder, *CUT_FLAGS)
    assert ended.code == -signal.SIGKILL, ended.err
    assert (folder / "shards.json").exists()
    assert (folder / "unfinished/progress.json").exists()
    if following == "train":
        open_shards(folder, verify=True)
    else:
        with pytest.raises(UserError, match="has finished shards already"):
            list(steps_of(play, folder, **CUT))
    assert not (folder / "unfinished").exists()
    assert bytes_of(folder) == bytes_of(uninterrupted)


def test_a_users_folder_named_unfinished_is_not_changed(tmp_path, play):
    folder = made(play, tmp_path / "out", **CUT)
    (folder / "unfinished").mkdir()
    (folder / "unfinished/notes.txt").write_text("mine")
    open_shards(folder)
    assert (folder / "unfinished/notes.txt").read_text() == "mine"


def test_a_preparation_of_json_lines_resumes_within_the_file(tmp_path, small_batches, monkeypatch):
    path = json_lines(tmp_path / "some.jsonl", [*written(150), "", *written(150, seed=1)])
    uninterrupted = made(path, tmp_path / "whole", tokenizer="byte")
    folder = tmp_path / "out"
    killed_here(path, folder, monkeypatch, "writer", "append", 61, tokenizer="byte")
    check_that_it_resumes(path, folder, uninterrupted, tokenizer="byte")


@pytest.mark.parametrize("kind", ["bin", "npy"])
def test_a_preparation_stopped_repeatedly_resumes_to_the_same_bytes(
    tmp_path, play, small_batches, kind, monkeypatch
):
    options = {"tokenizer": "byte", "kind": kind, "shard_tokens": 777}
    uninterrupted = made(play, tmp_path / "whole", **options)
    folder, kept_tokens = tmp_path / "out", []
    for _ in range(100):
        several = itertools.islice(steps_of(play, folder, **options), 5)
        kept_tokens.append(max((step.tokens for step in several), default=0))
        if (folder / "shards.json").exists():
            break
    assert kept_tokens == sorted(kept_tokens)
    assert len(kept_tokens) > 5
    assert bytes_of(folder) == bytes_of(uninterrupted)


def test_resuming_at_a_wrong_place_is_detected(tmp_path, play, small_batches, monkeypatch):
    uninterrupted = made(play, tmp_path / "whole", **CUT)
    killed_here(play, tmp_path / "out", monkeypatch, "writer", "append", 21, **CUT)
    pieces = text_files.TextFile.pieces

    def one_too_many(self, place, **how):
        every = pieces(self, place, **how)
        next(every)
        return every

    monkeypatch.setattr(text_files.TextFile, "pieces", one_too_many)
    list(steps_of(play, tmp_path / "out", **CUT))
    assert bytes_of(tmp_path / "out") != bytes_of(uninterrupted)


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_preparation_prints_the_command_to_resume(
    tmp_path, play, small_batches, kills, by, code
):
    folder = tmp_path / "out"
    ended = kills.run(("writer", "append", 20), by, play, "--out", folder, "--tokenizer", "byte")
    assert (ended.code, ended.err) == (code, "")
    assert re.search(r"Interrupted after [\d,]+ tokens\. The same command resumes", ended.out)
    assert tokens_kept(play, folder, tokenizer="byte") > 0
    assert bytes_of(folder) == bytes_of(made(play, tmp_path / "whole", tokenizer="byte"))


def test_the_workers_of_a_killed_preparation_end(tmp_path, play, kills):
    arguments = [play, "--out", tmp_path / "out", "--processes", "2"]
    ended = kills.run(("writer", "append", 5), signal.SIGKILL, *arguments)
    pids = [int(pid) for pid in re.search(r"children (.*)", ended.out)[1].split()]
    assert ended.code == -signal.SIGKILL
    assert len(pids) == 2
    wait_until(lambda: not any(map(is_running, pids)))


def test_a_killed_worker_is_reported_in_one_sentence_and_no_progress_is_lost(
    tmp_path, play, small_batches
):
    folder = tmp_path / "out"
    going = steps_of(play, folder, tokenizer="byte", processes=2)
    while next(going).tokens == 0:
        pass
    for child in multiprocessing.active_children():
        os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(UserError, match="a tokeniser process was killed"):
        list(going)
    assert tokens_kept(play, folder, tokenizer="byte") > 0
    assert bytes_of(folder) == bytes_of(made(play, tmp_path / "whole", tokenizer="byte"))


def test_a_preparation_of_a_moved_text_is_resumed(tmp_path, play, small_batches):
    folder = tmp_path / "out"
    list(itertools.islice(steps_of(play, folder, tokenizer="byte"), 9))
    (tmp_path / "elsewhere").mkdir()
    moved = play.rename(tmp_path / "elsewhere/play.txt")
    assert tokens_kept(moved, folder, tokenizer="byte") > 0


def test_progress_includes_the_tokens_from_before_the_resume(tmp_path, play, small_batches):
    folder = tmp_path / "out"
    first = list(itertools.islice(steps_of(play, folder, tokenizer="byte"), 10))
    second = list(steps_of(play, folder, tokenizer="byte"))
    assert second[1] == first[-1]
    assert second[-1] == PrepareProgress(
        stage="done",
        documents=2,
        tokens=len(SPACED_PLAY),
        bytes=len(SPACED_PLAY),
        total_documents=None,
        total_bytes=len(SPACED_PLAY),
    )
    fractions = [step.fraction for step in second]
    assert fractions[1:] == sorted(fractions[1:])
    assert fractions[-1] == 1


@pytest.mark.slow
def test_a_preparation_killed_a_hundred_times_at_random_ends_with_the_same_bytes(
    tmp_path, play, small_batches, kills
):
    rng, ends, number = random.Random(0), 0, 0
    uninterrupted = bytes_of(made(play, tmp_path / "whole", **CUT))
    folder = tmp_path / "out 0"
    for _ in range(100):
        owner, method = rng.choice(
            [("writer", "append"), ("writer", "close"), ("writer", "save"), ("state", "save")]
        )
        call = (owner, method, rng.choice([-1, 1]) * rng.randrange(1, 30))
        ended = kills.run(call, signal.SIGKILL, play, "--out", folder, *CUT_FLAGS)
        assert ended.code in (0, -signal.SIGKILL), ended.err
        if (folder / "shards.json").exists():
            assert bytes_of(folder) == uninterrupted
            number, ends = number + 1, ends + 1
            folder = tmp_path / f"out {number}"
    assert ends > 5
