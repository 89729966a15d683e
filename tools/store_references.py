"""Write the package's stored references again from TransformerLens and Hugging Face.

`python tools/store_references.py` needs both libraries.
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "helpers" / "oracles"))

import live_oracle

from gpt2_small.checker import stored_reference

_SMALL = {"d_model": 24, "n_heads": 3, "d_head": 8, "d_mlp": 40, "n_ctx": 12, "d_vocab": 29}
_RECIPES: dict[str, Any] = {
    "tied": ({**_SMALL, "n_layers": 2, "tied_embeddings": True}, {"seed": 1, "seq": 11}),
    "untied": ({**_SMALL, "n_layers": 3, "tied_embeddings": False}, {"seed": 2, "seq": 12}),
}


def derive(name: str) -> stored_reference.StoredReference:
    """Compute again the reference that is stored under a name."""
    fields: dict[str, Any]
    how: dict[str, Any]
    fields, how = _RECIPES[name]
    return live_oracle.live_reference(fields, batch=2, **how)


def store(name: str, reference: stored_reference.StoredReference) -> Path:
    """Write a reference to the package, with the SHA-256 of its contents and library versions."""
    from safetensors.torch import save_file

    tensors = {field: getattr(reference, field) for field in ("tokens", "logits", "loss")}
    for group in stored_reference.GROUPS:
        tensors |= {f"{group}/{key}": value for key, value in getattr(reference, group).items()}
    tensors = {key: tensor.detach().contiguous().clone() for key, tensor in tensors.items()}
    about = {field: json.dumps(getattr(reference, field)) for field in ("config", "versions")}
    path = stored_reference.stored_path(name)
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path, metadata={**about, "sha256": stored_reference.digest(tensors, about)})
    path.chmod(0o644)
    return path


if __name__ == "__main__":
    for stored in stored_reference.STORED:
        print(f"Wrote {store(stored, derive(stored))}")
