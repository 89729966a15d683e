"""Define a forked child's task and limits."""

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
    """A file's limits.

    seconds: processor time for one claim, unless the claim states more.
    loading_seconds: processor time for running the file.
    wall_seconds: wall time for one claim, or for running the file.
    memory: bytes for a part's process, in addition to torch's.
    """

    seconds: float = 10.0
    loading_seconds: float = 20.0
    wall_seconds: float = 60.0
    memory: int = 2 << 30


@dataclass(frozen=True)
class ChildTask:
    """A file's text, and the work to do with it.

    exercises: the name of the file's exercise set.
    parts: the parts with the file's own code; the last is under check.
    claims: the indices of the claims to observe.
    others: the compiled reference without these parts.
    axes: the axes of parameters that differ from GPT-2's, by part and name.
    layout: the layout of the file's parameters, if not the contract's.
    fixed: fields in the file's FIXED.
    has_helpers: whether the file may import modules of its folder.
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

    def to(self, work: Work, parts: Sequence[str], others: CodeType) -> "ChildTask":
        """A task for the same file with other work."""
        return replace(self, work=work, parts=tuple(parts), others=others)

    def packed(self) -> list[bytes]:
        """Encode the task as messages for another process of this Python."""
        fields = asdict(replace(self, source=b"", others=None)) | {"path": str(self.path)}
        del fields["source"], fields["others"]
        return [json.dumps(fields).encode(), self.source, marshal.dumps(self.others)]

    @classmethod
    def unpacked(cls, header: bytes, source: bytes, others: bytes) -> "ChildTask":
        """Decode the messages of `packed`."""
        fields: dict[str, Any] = json.loads(header)
        fields |= {"path": Path(fields["path"]), "limits": Limits(**fields["limits"])}
        fields |= {name: tuple(fields[name]) for name in ("parts", "claims", "fixed")}
        return cls(source=source, others=marshal.loads(others), **fields)
