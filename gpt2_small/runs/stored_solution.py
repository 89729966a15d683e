"""Store a copy of the solution that trains a run."""

from pathlib import Path
from types import ModuleType

from gpt2_small import binding
from gpt2_small.files.atomic import write_atomically
from gpt2_small.files.hashes import sha256

SOLUTION = "solution.py"
SHOWN_DIGITS = 12


def store_solution(folder: Path, module: ModuleType) -> None:
    """Write the text of a run's solution into its folder; a different earlier one is renamed.

    Raises UserError when it cannot be written.
    """
    path, text = folder / SOLUTION, binding.source(module).decode("utf-8", "surrogateescape")
    if path.is_file():
        before = sha256(path)
        if before == binding.sha256(module):
            return
        path.rename(path.with_stem(f"{path.stem}-{before[:SHOWN_DIGITS]}"))
    write_atomically(path, text, errors="surrogateescape")
