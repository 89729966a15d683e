"""Describe what a forked child does with a file, and what it may use."""

import json
import marshal
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import CodeType
from typing import Any, Literal

Work = Literal["load", "look", "trace", "propose"]


@dataclass(frozen=True)
class Limits:
    """What a file may use.

    seconds: of processor time for one claim; a claim that states more has more.
    loading_seconds: of processor time for running the file itself.
    wall_seconds: of waiting for one claim, or for the file, whatever it computes meanwhile.
    memory: bytes that a part's process may take beside what torch takes.
    """

    seconds: float = 10.0
    loading_seconds: float = 20.0
    wall_seconds: float = 60.0
    memory: int = 2 << 30


@dataclass(frozen=True)
class Task:
    """A file's text, and what to do with it.

    exercises: the name of the exercise set that the file belongs to.
    parts: for which the file's own code is used; the last is the one under check.
    claims: numbers of the claims about that part to look at.
    others: the reference's code without these parts, compiled.
    axes: of the parameters of parts that are not GPT-2's, by their names.
    layout: of the file's parameters, where it is not the contract's.
    fixed: fields of the configuration that the file says it fixes.
    has_helpers: whether the file may import what stands in its folder.
    """

    path: Path
    source: bytes
    seed: int
    limits: Limits
    exercises: str = "gpt2"
    work: Work = "load"
    parts: tuple[str, ...] = ()
    claims: tuple[int, ...] = ()
    others: CodeType | None = None
    axes: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    layout: str | None = None
    fixed: tuple[str, ...] = ()
    has_helpers: bool = True

    def to(self, work: Work, parts: Sequence[str], others: CodeType) -> "Task":
        """The same file, with other work."""
        return replace(self, work=work, parts=tuple(parts), others=others)

    def packed(self) -> list[bytes]:
        """The task as messages for another process of this Python."""
        fields = asdict(replace(self, source=b"", others=None)) | {"path": str(self.path)}
        del fields["source"], fields["others"]
        return [json.dumps(fields).encode(), self.source, marshal.dumps(self.others)]

    @classmethod
    def unpacked(cls, header: bytes, source: bytes, others: bytes) -> "Task":
        """What `packed` gave."""
        fields: dict[str, Any] = json.loads(header)
        fields |= {"path": Path(fields["path"]), "limits": Limits(**fields["limits"])}
        fields |= {name: tuple(fields[name]) for name in ("parts", "claims", "fixed")}
        return cls(source=source, others=marshal.loads(others), **fields)
