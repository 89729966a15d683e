"""Download HellaSwag's validation questions from the Hugging Face Hub to a JSON-lines file."""

import json
from pathlib import Path

from gpt2_small.data.corpora.hub_corpus import rows_of
from gpt2_small.errors import UserError
from gpt2_small.files.atomic import make_folder, write_atomically

DATA_SET = "Rowan/hellaswag"
NAME, FILE_NAME = "hellaswag", "hellaswag_val.jsonl"
FIELDS = ("ind", "activity_label", "ctx_a", "ctx_b", "ctx", "endings", "label")


def prepare_hellaswag(folder: Path) -> tuple[Path, int]:
    """Write the questions of the validation split; return the file and the number of questions.

    Raises UserError, and writes nothing, when `datasets` is not installed, the Hub cannot be
    reached, a row is not in HellaSwag's format, or the file exists already.
    """
    path = folder / FILE_NAME
    if path.exists():
        raise UserError(f"{path} exists already; give another folder, or remove it first")
    rows, _ = rows_of(DATA_SET, split="validation")
    lines = []
    for number, row in enumerate(rows, start=1):
        missing = [name for name in ("endings", "label", "ctx") if row.get(name) is None]
        if missing:
            raise UserError(
                f"row {number} of {DATA_SET} has no {missing[0]!r}; nothing was written"
            )
        question = {name: row[name] for name in FIELDS if name in row}
        lines.append(json.dumps(question, ensure_ascii=False) + "\n")
    if not lines:
        raise UserError(f"the data set {DATA_SET} is empty; nothing was written")
    make_folder(folder)
    write_atomically(path, "".join(lines))
    return path, len(lines)
