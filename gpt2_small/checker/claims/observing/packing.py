"""Encode an observation as bytes for another process."""

import json
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from gpt2_small.checker.claims.observing.observation import Observation

# Longer than any text of a right file; longer texts are truncated.
LONGEST_TEXT = 2000
# Bytes of an observation; those of right files have a few megabytes at most.
MOST_BYTES = 48 << 20


def pack(observation: Observation) -> bytes:
    """Encode an observation as safetensors.

    Raises ValueError for entries of other types, and for more than MOST_BYTES.

    Preserves the entries' order and the tensors' bits.
    """
    tensors: dict[str, Tensor] = {}
    texts: dict[str, str] = {}
    room = MOST_BYTES
    for name, entry in observation.items():
        if isinstance(entry, Tensor):
            room -= entry.numel() * entry.element_size()
            if room < 0:
                raise ValueError(f"{name} has {entry.numel():,} elements, which is too many")
            tensors[name] = entry.detach().to("cpu").contiguous().clone()
        elif isinstance(entry, str):
            texts[name] = entry[:LONGEST_TEXT]
        else:
            raise ValueError(f"{name} is a {type(entry).__name__}, neither tensor nor text")
    order = json.dumps(list(observation))
    return save(tensors, metadata={"texts": json.dumps(texts), "order": order})


def unpack(data: bytes) -> Observation:
    """Decode `pack`'s bytes. Raises ValueError for others; executes nothing of them."""
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        texts, order = json.loads(header["texts"]), json.loads(header["order"])
        if sorted(order) != sorted([*tensors, *texts]):
            raise ValueError("entries and their order differ")
        return {name: tensors[name] if name in tensors else _text(texts[name]) for name in order}
    except Exception as error:
        raise ValueError(f"not an observation: {error}") from error


def _text(entry: Any) -> str:
    if not isinstance(entry, str):
        raise ValueError(f"{entry!r} is not a text")
    return entry[:LONGEST_TEXT]
