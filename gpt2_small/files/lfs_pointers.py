"""Refuse Git LFS pointers: short texts in the place of files that were not downloaded."""

from pathlib import Path

from gpt2_small.errors import UserError

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
BEGINNING = b"version https://git-lfs"


def refuse_lfs_pointer(path: Path) -> None:
    """Raises UserError for a Git LFS pointer. A file that cannot be read passes."""
    try:
        with path.open("rb") as file:
            is_pointer = file.read(len(BEGINNING)) == BEGINNING
    except OSError:
        return
    if is_pointer:
        raise UserError(
            f"{path} is a Git LFS pointer, not the content; run git lfs pull in its folder"
        )
