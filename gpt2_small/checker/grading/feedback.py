"""Write a Markdown file of feedback for each student."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from gpt2_small import __version__
from gpt2_small.checker.grading.student_rows import GradeRow
from gpt2_small.checker.grading.submissions import Submission
from gpt2_small.checker.report_formats import POINTS
from gpt2_small.errors import UserError
from gpt2_small.files.atomic import make_folder, write_atomically

# Only files that begin with this are replaced.
_MARK = "<!-- written by gpt2-small grade -->"
_LONGEST_NAME = 200
_WORDS = {
    "passed": "right",
    "failed": "wrong",
    "not_written": "not written yet",
    "waiting": "not judged",
}


def check_folder(folder: Path, handed_in: Path, submissions: Sequence[Submission]) -> None:
    """Create the folder. Raises UserError if feedback could not be written later.

    Also raises it for a folder inside the hand-ins, and for one that has another file under a
    student's name.
    """
    inside = folder.absolute().resolve()
    if inside.is_relative_to(handed_in.resolve()):
        raise UserError(f"{folder} is inside {handed_in}; give another folder for the feedback")
    make_folder(folder)
    for submission in submissions:
        _refuse_another(path_of(folder, submission.student))


def path_of(folder: Path, student: str) -> Path:
    """The path of a student's feedback; a very long name is cut, and told apart by its hash."""
    name = os.fsencode(student)
    if len(name) > _LONGEST_NAME:
        student = f"{student[:50]}-{hashlib.sha256(name).hexdigest()[:12]}"
    return folder / f"{student}.md"


def write(folder: Path, rows: Sequence[GradeRow]) -> None:
    """Write a file for each row. Raises UserError, after all others, for one that it could not."""
    problems = []
    for row in rows:
        path = path_of(folder, row.student)
        try:
            _refuse_another(path)
            write_atomically(path, as_markdown(row), errors="replace")
        except UserError as error:
            problems.append(str(error))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise UserError(f"{problems[0]}{more}")


def _refuse_another(path: Path) -> None:
    """Raise UserError if `path` exists and is not feedback of this command."""
    if not os.path.lexists(path):
        return
    try:
        is_ours = not path.is_symlink() and path.read_text(errors="replace").startswith(_MARK)
    except OSError:
        is_ours = False
    if not is_ours:
        raise UserError(f"{path} exists and is not feedback of `grade`; it is not overwritten")


def as_markdown(row: GradeRow) -> str:
    """Format a student's feedback: points, a table of parts, a section for each wrong part.

    Omits remarks, which are for the instructor.
    """
    name = Path(row.file).name
    lines = [_MARK, "", f"# Feedback for {_text(row.student)}", ""]
    if row.not_graded is not None:
        return "\n".join([*lines, f"Not graded: {_text(row.not_graded)}.", ""])
    parts = row.exercises.parts
    lines += [
        f"**{row.points:g} of {POINTS:g} points**: {len(row.done)} of {len(parts)} parts are "
        "right.",
        "",
        f"File `{_code(name)}`, SHA-256 `{(row.sha256 or '')[:12]}`; judged by gpt2-small "
        f"{__version__}.",
    ]
    if row.error is not None:
        lines += ["", f"The file was not checked to its end: {_text(row.error)}."]
    if row.states:
        lines += ["", "| part | result |", "|---|---|"]
        lines += [f"| {part} | {_WORDS[state]} |" for part, state in row.states.items()]
    for note in row.notes:
        lines += ["", f"{_text(note.replace(row.file, name))}."]
    for part, state in row.states.items():
        if state in ("failed", "waiting"):
            lines += ["", f"## {part}", "", *_section(row, part)]
    return "\n".join(lines) + "\n"


def _section(row: GradeRow, part: str) -> list[str]:
    """The mistakes in a part, and the hint command."""
    said = [row.reasons.get(part, ""), *row.advice.get(part, "").split("\n")]
    lines = [_text(sentence) for sentence in dict.fromkeys(said) if sentence]
    named = row.named.get(part, ())
    if named:
        lines.append(f"Known mistake: {', '.join(f'`{one}`' for one in named)}.")
    if row.states[part] == "failed":
        lines.append(f"For a hint: `gpt2-small hint {part} --file {_code(Path(row.file).name)}`")
    return "\n\n".join(lines).split("\n")


def _text(text: str) -> str:
    """Text from a student's file as plain Markdown: one line, no markup."""
    plain = "".join(c if c.isprintable() else "?" for c in " ".join(text.split())).rstrip(".")
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#!" else c for c in plain)


def _code(text: str) -> str:
    """Text for use between backticks."""
    return "".join(c if c.isprintable() and c != "`" else "?" for c in text)
