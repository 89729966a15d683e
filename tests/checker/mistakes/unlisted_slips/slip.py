"""Make a slip that no list has, in a right file: a whole statement, as learners write them.

A slip is a statement of one part of a file in `right_files`, and what stands there instead. A
teacher would call it by one of its `names`; mostly there is none.
"""

import ast
from dataclasses import dataclass
from pathlib import Path

from gpt2_small.checker.parts import PARTS

FILES = Path(__file__).parents[2] / "right_files"


@dataclass(frozen=True)
class Slip:
    """A statement of a right file's part, and a wrong one in its place.

    names: ids that a teacher might give it.
    """

    part: str
    file: str
    right: str
    wrong: str
    names: tuple[str, ...] = ()

    def text(self) -> str:
        """The file with the slip. The statement must occur once in the part, or in a function."""
        text = (FILES / f"{self.file}.py").read_text(encoding="utf-8")
        pieces = [ast.get_source_segment(text, node) or "" for node in self._nodes(text)]
        (piece,) = (piece for piece in pieces if self.right in piece)
        assert piece.count(self.right) == 1, (self.part, self.right)
        return text.replace(piece, piece.replace(self.right, self.wrong))

    def _nodes(self, text: str) -> list[ast.stmt]:
        """The part, and functions that it may call."""
        return [
            node
            for node in ast.parse(text).body
            if isinstance(node, (ast.ClassDef, ast.FunctionDef))
            and (node.name == self.part or node.name not in PARTS)
        ]

    @property
    def line(self) -> int:
        """The first line that is not the right file's."""
        right = (FILES / f"{self.file}.py").read_text(encoding="utf-8").splitlines()
        lines = enumerate(zip(self.text().splitlines(), right, strict=False), start=1)
        return next(number for number, (mine, theirs) in lines if mine != theirs)


def slips_of(part: str, file: str, *pairs: tuple[str, ...]) -> list[Slip]:
    return [Slip(part, file, right, wrong, tuple(names)) for right, wrong, *names in pairs]
