"""Write a class's submissions: right, wrong, unreadable, and other files than Python."""

from pathlib import Path

from gpt2_small.checker.learner import skeleton as exercises


def written(**bodies: str) -> str:
    """Return a learner's file with these bodies."""
    text = exercises.skeleton()
    for part, body in bodies.items():
        text = exercises.with_body(text, part, body)
    return text


def body(part: str, old: str = "", new: str = "") -> str:
    return (
        exercises.reference_body(part).replace(old, new)
        if old
        else (exercises.reference_body(part))
    )


NO_EPSILON = {"LayerNorm": body("LayerNorm", "+ self.eps", "")}


CLASS = {
    "ann.py": written(**NO_EPSILON, Embedding=body("Embedding")).replace(
        "import math\n", "import math\nfrom gpt2_small import sample as given\n"
    ),
    "bert/my_gpt2.py": "def f(:",
    "bert/notes.py": "",
    "carl/one.py": "",
    "carl/two.py": "",
    ".DS_Store": "",
    "dora.zip": "PK",
    "emil.txt": "x = 1",
    "fay.ipynb": "{",
    "gus/report.pdf": "",
}


def write_class(folder: Path) -> Path:
    """Write the class's submissions into a folder, and return it."""
    for name, text in CLASS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder
