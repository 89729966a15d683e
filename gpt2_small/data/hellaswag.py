"""Write HellaSwag's validation questions into a JSON-lines file, from the Hugging Face Hub."""

import json
from pathlib import Path

from gpt2_small.data.corpora.hub_corpus import rows_of
from gpt2_small.errors import UserError
from gpt2_small.files import write_atomically

DATA_SET = "Rowan/hellaswag"
NAME, FILE_NAME = "hellaswag", "hellaswag_val.jsonl"
KEPT = ("ind", "activity_label", "ctx_a", "ctx_b", "ctx", "endings", "label")


def prepare_hellaswag(folder: Path) -> tuple[Path, int]:
    """Write the questions of the validation split, as they are, and give the file and their number.

    Raises UserError when `datasets` is not installed, the hub cannot be reached, a row is not in
    HellaSwag's format, or the file is there already; nothing is written then.
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
        kept = {name: row[name] for name in KEPT if name in row}
        lines.append(json.dumps(kept, ensure_ascii=False) + "\n")
    if not lines:
        raise UserError(f"the data set {DATA_SET} is empty; nothing was written")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder} ({error.strerror})") from None
    write_atomically(path, "".join(lines))
    return path, len(lines)
