"""Write every lesson's notebook from its lesson.py: `python tools/make_notebooks.py`.

The source is in percent format: `# %%` begins a cell of code, `# %% [markdown]` one of text, whose
lines are comments. The notebooks hold no outputs, so that they differ only where the source does.
"""

import json
from pathlib import Path
from typing import Any

MARKER = "# %%"
ROOT = Path(__file__).resolve().parents[1]


def notebook(source: str) -> str:
    """Return the text of the .ipynb file (nbformat 4.5) of a lesson's source."""
    cells = []
    for number, (kind, lines) in enumerate(cells_of(source)):
        text = [uncommented(line) for line in lines] if kind == "markdown" else lines
        body = "\n".join(text).strip("\n").splitlines(keepends=True)
        cell: dict[str, Any] = {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": {},
            "source": body,
        }
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    content = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def uncommented(line: str) -> str:
    """Strip a line's comment mark; a heading keeps its own marks."""
    return line.removeprefix("# ") if line.startswith("# ") else line.removeprefix("#")


def cells_of(source: str) -> list[tuple[str, list[str]]]:
    """Yield the kind and lines of every cell; text before the first marker is left out."""
    cells: list[tuple[str, list[str]]] = []
    for line in source.splitlines():
        if line.startswith(MARKER):
            cells.append(("markdown" if "[markdown]" in line else "code", []))
        elif cells:
            cells[-1][1].append(line)
    return cells


def sources() -> list[Path]:
    """Return the source of every lesson, in order."""
    return sorted((ROOT / "lessons").glob("[0-9][0-9]_*/lesson.py"))


if __name__ == "__main__":
    for path in sources():
        path.with_suffix(".ipynb").write_text(notebook(path.read_text("utf-8")), "utf-8")
