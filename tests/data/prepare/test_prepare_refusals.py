"""Test refused preparations: other settings, other files in the folder, a full disk."""

import itertools
import os
import shutil

import pytest
from shard_folders import SPACED_PLAY, bytes_of, made, steps_of

from gpt2_small.data import prepare_options
from gpt2_small.data.shards import shard_writer
from gpt2_small.errors import UserError


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (
            {"tokenizer": "byte"},
            {},
            "begun with --tokenizer byte, and this run has --tokenizer gpt2",
        ),
        ({}, {"kind": "npy"}, "begun with --format bin, and this run has --format npy"),
        (
            {},
            {"shard_tokens": 5},
            "begun with no --shard-tokens, and this run has --shard-tokens 5",
        ),
    ],
)
def test_a_folder_begun_with_other_settings_is_refused_with_both_values(
    tmp_path, play, before, now, said
):
    folder = tmp_path / "out"
    list(itertools.islice(steps_of(play, folder, **{"tokenizer": "gpt2", **before}), 2))
    kept = bytes_of(folder)
    with pytest.raises(UserError, match=said):
        list(steps_of(play, folder, **{"tokenizer": "gpt2", **now}))
    assert bytes_of(folder) == kept


def test_a_text_that_has_changed_since_is_refused(tmp_path, play):
    folder = tmp_path / "out"
    list(itertools.islice(steps_of(play, folder, tokenizer="byte"), 2))
    play.write_text(SPACED_PLAY + "One more line.\n")
    with pytest.raises(
        UserError, match=r"begun with sha256 of the text \w{12}\.\.\., and this run"
    ):
        list(steps_of(play, folder, tokenizer="byte"))


def test_another_text_is_refused_with_both_names(tmp_path, play):
    folder = tmp_path / "out"
    list(itertools.islice(steps_of(play, folder, tokenizer="byte"), 2))
    other = play.with_name("other.txt")
    other.write_text("other")
    with pytest.raises(UserError, match=r"begun with the text play\.txt, .* the text other\.txt;"):
        list(steps_of(other, folder, tokenizer="byte"))


def test_after_a_text_that_is_too_short_another_can_be_prepared_in_the_folder(tmp_path, play):
    short = play.with_name("short.txt")
    short.write_text("a")
    with pytest.raises(UserError, match=r"it has 1 document and 1 byte of text; give more"):
        list(steps_of(short, tmp_path / "out", tokenizer="byte"))
    assert list(steps_of(play, tmp_path / "out", tokenizer="byte"))[-1].stage == "done"


def test_a_finished_folder_is_not_changed(tmp_path, play):
    folder = made(play, tmp_path / "out", tokenizer="byte")
    kept = bytes_of(folder)
    with pytest.raises(UserError, match="has finished shards already"):
        list(steps_of(play, folder, tokenizer="byte"))
    assert bytes_of(folder) == kept


def test_a_folder_with_other_files_and_a_file_are_refused(tmp_path, play):
    with pytest.raises(UserError, match="is not empty and has no shards"):
        list(steps_of(play, tmp_path, tokenizer="byte"))
    with pytest.raises(UserError, match="is a file"):
        list(steps_of(play, play, tokenizer="byte"))
    assert list(tmp_path.iterdir()) == [play]


def test_a_second_process_on_the_same_folder_is_refused(tmp_path, play):
    first = steps_of(play, tmp_path / "out", tokenizer="byte")
    next(first)
    with pytest.raises(UserError, match="another process is preparing"):
        next(steps_of(play, tmp_path / "out", tokenizer="byte"))
    assert list(first)[-1].stage == "done"


def test_a_disk_that_is_too_small_is_refused_with_both_numbers_before_anything_is_made(
    tmp_path, play, monkeypatch
):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2000))
    with pytest.raises(UserError, match=r"will take about 2[\d.]* kB, and .* has 2 kB free"):
        list(steps_of(play, tmp_path / "out", tokenizer="byte"))
    assert not (tmp_path / "out").exists()


def test_finished_shards_need_no_more_disk_space(tmp_path, play, small_batches, monkeypatch):
    folder = tmp_path / "out"
    needed = 2 * len(SPACED_PLAY)
    every = steps_of(play, folder, tokenizer="byte")
    while 2 * next(every).tokens < needed // 2:
        pass
    every.close()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        prepare_options.shutil, "disk_usage", lambda path: usage._replace(free=needed // 2)
    )
    assert list(steps_of(play, folder, tokenizer="byte"))[-1].stage == "done"


def test_a_full_disk_is_reported_in_one_sentence_and_the_saved_part_is_resumed(
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
            list(steps_of(play, folder, tokenizer="byte"))
    assert list(steps_of(play, folder, tokenizer="byte"))[1].tokens > 0
    assert bytes_of(folder) == bytes_of(made(play, tmp_path / "whole", tokenizer="byte"))


def test_a_shard_shorter_than_its_saved_progress_is_refused(tmp_path, play, small_batches):
    folder = tmp_path / "out"
    list(itertools.islice(steps_of(play, folder, tokenizer="byte"), 10))
    os.truncate(folder / "unfinished/train_000000.bin", 100)
    with pytest.raises(UserError, match=r"train_000000\.bin should have at least [\d,]+ bytes"):
        list(steps_of(play, folder, tokenizer="byte"))


def test_the_unfinished_state_of_another_program_is_refused(tmp_path, play):
    (tmp_path / "out/unfinished").mkdir(parents=True)
    (tmp_path / "out/unfinished/progress.json").write_text("{}")
    with pytest.raises(UserError, match=r"progress\.json has the format "):
        list(steps_of(play, tmp_path / "out", tokenizer="byte"))


@pytest.mark.parametrize("change", [("tokens", "tokons"), ('"byte": ', '"byte": 1'), ("{", "[")])
def test_a_damaged_state_is_refused_in_one_sentence(tmp_path, play, small_batches, change):
    folder = tmp_path / "out"
    list(itertools.islice(steps_of(play, folder, tokenizer="byte"), 10))
    path = folder / "unfinished/progress.json"
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(UserError, match=r"progress\.json is damaged"):
        list(steps_of(play, folder, tokenizer="byte"))


@pytest.mark.parametrize("name", ["train_000000.bin", "tokenizer.json", "progress.json"])
def test_a_link_among_unfinished_files_is_refused_and_its_target_is_not_changed(
    tmp_path, play, name
):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "out/unfinished").mkdir(parents=True)
    (tmp_path / "out/unfinished" / name).symlink_to(tmp_path / "precious")
    with pytest.raises(UserError, match=f"{name} is a link; remove it"):
        made(play, tmp_path / "out", tokenizer="byte")
    assert (tmp_path / "precious").read_text() == "precious"


def test_shards_inside_the_folder_that_is_read_are_refused(tmp_path, play):
    with pytest.raises(UserError, match=r"lies inside .*, which is read"):
        made(tmp_path, tmp_path / "new/out", tokenizer="byte")
    assert list(tmp_path.iterdir()) == [play]


def test_a_path_that_is_too_long_is_refused_in_one_sentence(tmp_path, play):
    with pytest.raises(UserError, match="File name too long"):
        made(play, tmp_path / ("x" * 300), tokenizer="byte")
