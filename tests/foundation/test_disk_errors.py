"""Test paths that cannot be written: an error with the system's reason and a remedy."""

import errno
import os
from pathlib import Path

import pytest

from gpt2_small.errors import UserError
from gpt2_small.files.atomic import atomic_file
from gpt2_small.files.write_errors import cannot_write


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_the_error_for_a_full_disk_asks_for_space(tmp_path, number: int) -> None:
    with (
        pytest.raises(UserError, match=r"nothing was changed; free some space$"),
        atomic_file(tmp_path / "config.json"),
    ):
        raise OSError(number, os.strerror(number))


def test_the_error_for_a_path_without_write_permission_asks_for_another() -> None:
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    assert str(cannot_write(Path("run"), error)) == (
        "cannot write run (Permission denied); make it writable or give another path"
    )
