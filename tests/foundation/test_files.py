"""Test atomic writes: the new file complete, or the old one."""

import os
from pathlib import Path

import pytest

from gpt2_small.errors import UserError
from gpt2_small.files import atomic
from gpt2_small.files.atomic import atomic_file, atomic_folder, write_atomically

OLD, NEW = "the old text\n", "the new text\n"


class WriteFails(Exception):
    """An error raised by the test's writer."""


def full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def fail_to_write(path: Path, error: BaseException) -> None:
    with atomic_file(path) as aside:
        aside.write_text(NEW)
        raise error


def write_folder(path: Path, text: str, error: BaseException | None = None) -> None:
    with atomic_folder(path) as aside:
        (aside / "file.txt").write_text(text)
        if error:
            raise error


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_text(OLD)
    return path


def test_a_written_file_replaces_the_old_one_and_leaves_no_temporary_file(file: Path) -> None:
    with atomic_file(file) as aside:
        aside.write_text(NEW)
        assert file.read_text() == OLD
    assert contents(file.parent) == {"file.txt": NEW}


@pytest.mark.parametrize("error", [WriteFails(), KeyboardInterrupt(), SystemExit(3)])
def test_a_writer_that_raises_leaves_the_old_file_and_no_temporary_file(
    file: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        fail_to_write(file, error)
    assert contents(file.parent) == {"file.txt": OLD}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_at_the_end_leaves_the_old_file_and_no_temporary_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(atomic.os, step, full_disk)
    with pytest.raises(UserError, match=r"cannot write .*file\.txt \(No space left on device\)"):
        write_atomically(file, NEW)
    monkeypatch.undo()
    assert contents(file.parent) == {"file.txt": OLD}


def test_a_text_that_cannot_be_encoded_leaves_the_old_file_and_no_temporary_file(
    file: Path,
) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "\ud800")
    assert contents(file.parent) == {"file.txt": OLD}


def test_a_failed_first_write_leaves_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(WriteFails):
        fail_to_write(tmp_path / "file.txt", WriteFails())
    assert contents(tmp_path) == {}


def test_a_folder_without_write_permission_is_reported_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*missing/file\.txt"):
        write_atomically(tmp_path / "missing" / "file.txt", NEW)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_written_file_has_the_requested_permissions(file: Path, mode: int) -> None:
    with atomic_file(file, mode=mode) as aside:
        aside.write_text(NEW)
    assert file.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="this system has no /dev/stdout")
def test_writing_to_a_link_replaces_its_target(file: Path) -> None:
    link = file.with_name("link.txt")
    link.symlink_to(file)
    write_atomically(link, NEW)
    assert link.is_symlink()
    assert file.read_text() == NEW


@pytest.mark.parametrize("error", [WriteFails(), KeyboardInterrupt()])
def test_a_folders_writer_that_raises_leaves_the_old_folder_and_no_temporary_one(
    tmp_path: Path, error: BaseException
) -> None:
    write_folder(tmp_path / "folder", OLD)
    before = contents(tmp_path)
    with pytest.raises(type(error)):
        write_folder(tmp_path / "folder", NEW, error)
    assert contents(tmp_path) == before


def test_a_full_disk_while_a_folder_is_replaced_restores_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "folder", OLD)
    before = contents(tmp_path)
    rename = os.rename

    def fail_for_the_new_one(source: Path, target: Path) -> None:
        if source.name.endswith(".unfinished"):
            full_disk()
        rename(source, target)

    monkeypatch.setattr(atomic.os, "rename", fail_for_the_new_one)
    with pytest.raises(UserError, match="No space left on device"):
        write_folder(tmp_path / "folder", NEW)
    assert contents(tmp_path) == before


def test_ctrl_c_while_a_folder_is_replaced_restores_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "folder", OLD)
    before = contents(tmp_path)
    rename = os.rename

    def interrupt_the_new_one(source: Path, target: Path) -> None:
        if source.name.endswith(".unfinished"):
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(atomic.os, "rename", interrupt_the_new_one)
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "folder", NEW)
    assert contents(tmp_path) == before


def test_a_pipe_in_the_place_of_a_folder_is_refused_and_unchanged(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=r"pipe is not a folder; give a new folder"):
        write_folder(tmp_path / "pipe", NEW)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
    assert (tmp_path / "pipe").is_fifo()


def test_a_pipe_in_the_place_of_a_file_is_refused_and_unchanged(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "loss.png")
    with (
        pytest.raises(UserError, match="is not a file; give another path"),
        atomic_file(tmp_path / "loss.png"),
    ):
        raise AssertionError("nothing is to be written")
    assert (tmp_path / "loss.png").is_fifo()


def test_a_file_in_the_place_of_a_folder_is_refused_and_unchanged(file: Path) -> None:
    with pytest.raises(UserError, match=r"file\.txt is not a folder; give a new folder"):
        write_folder(file, NEW)
    assert contents(file.parent) == {"file.txt": OLD}


@pytest.mark.parametrize("name", [".", ".."])
def test_the_working_directory_is_not_replaced(tmp_path: Path, monkeypatch, name: str) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(UserError, match="is the working directory or contains it; give a new"):
        write_folder(Path(name), NEW)
    assert contents(tmp_path / "here") == {}


def test_a_folder_is_written_from_a_removed_working_directory(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    for text in (OLD, NEW):
        write_folder(tmp_path / "folder", text)
    assert (tmp_path / "folder" / "file.txt").read_text() == NEW


def test_a_link_to_a_folder_stays_a_link_and_the_folder_is_replaced(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder", OLD)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "folder")
    write_folder(link, NEW)
    assert link.is_symlink()
    assert (tmp_path / "folder" / "file.txt").read_text() == NEW
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link"]
