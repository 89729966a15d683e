"""Read a student's name from the name of a file or folder, as learning platforms write it."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

# Canvas: smithanna_LATE_1234_56789_my_gpt2-1.py, with the numbers of the student and the file.
_CANVAS = re.compile(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<student>\d{2,})_\d{2,}_.+")
# Moodle: a folder `Anna Smith_1234_assignsubmission_file_`.
_MOODLE = re.compile(r"(?<=.)_assignsubmission_file_?$")
LATE = "handed in late, as its name says"


def of_file(stem: str) -> tuple[str, tuple[str, ...]]:
    """The student's name in a file's, and remarks on the submission."""
    canvas = _CANVAS.fullmatch(stem)
    if canvas is None:
        return stem, ()
    return f"{canvas['name']}_{canvas['student']}", (LATE,) if canvas["late"] else ()


def of_folder(name: str) -> str:
    """The student's name in a folder's."""
    return _MOODLE.sub("", name)


def told_apart(names: Sequence[str], files: Sequence[str]) -> list[str]:
    """Unique names: `anna.py` beside `anna.ipynb` keep their suffixes.

    Names that differ only in case or in the encoding of accents count as equal, because their
    feedback would be one file on some systems.

    names: the students' names.
    files: the names of their files or folders, which are unique.
    """
    told, before = list(names), None
    while told != before:
        before, counts = told, Counter(map(_key, told))
        told = [files[at] if counts[_key(name)] > 1 else name for at, name in enumerate(told)]
    return told


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
