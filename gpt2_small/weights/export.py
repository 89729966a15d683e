"""A model on its way out: a folder that Hugging Face's libraries and TransformerLens load."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from gpt2_small.errors import UserError
from gpt2_small.files import atomic_folder
from gpt2_small.runs.folder import CONFIG, WEIGHTS, load_model, read_run
from gpt2_small.tokenizers.hugging_face import write_tokenizer_files
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.weights.hugging_face import make_config, to_hugging_face


def export_hugging_face(
    run_or_model: str | Path | nn.Module,
    folder: str | Path,
    *,
    tokenizer: Tokenizer | None = None,
) -> Path:
    """Write a model as a Hugging Face GPT-2, whole or not at all; returns the folder.

    The folder gets `config.json`, `generation_config.json`, `model.safetensors`, the tokenizer's
    files, and a manifest with the SHA-256 of each. A vocabulary that was padded beyond the
    tokenizer's is trimmed to it.

    run_or_model: the folder of a run (its latest checkpoint), or a model.
    tokenizer: of a model; left out, no tokenizer is written. A run has its own.

    Raises UserError for a folder that is not empty, for what Hugging Face's GPT-2 cannot hold, and
    when the disk does not allow it.
    """
    folder = Path(folder)
    if folder.is_file():
        raise UserError(f"{folder} is a file; give a new folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; give a new folder")
    model: Any = run_or_model
    if not isinstance(run_or_model, nn.Module):
        model, tokenizer = load_model(run_or_model), read_run(run_or_model).load_tokenizer()
    with atomic_folder(folder) as aside:
        _write(model, tokenizer, aside)
    return folder


def _write(model: Any, tokenizer: Tokenizer | None, folder: Path) -> None:
    config = model.config
    d_vocab = config.d_vocab if tokenizer is None else tokenizer.vocab_size
    if d_vocab > config.d_vocab:
        raise UserError(
            f"the tokenizer has {d_vocab} tokens, but the model only {config.d_vocab}; "
            "give the tokenizer it was trained with"
        )
    state = {name: parameter.detach().cpu() for name, parameter in model.named_parameters()}
    tensors = to_hugging_face(state, config, d_vocab=d_vocab)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    end_of_text = None if tokenizer is None else tokenizer.end_of_text
    dtype = state["embed.W_E"].dtype
    written = {
        CONFIG: make_config(config, d_vocab=d_vocab, end_of_text=end_of_text, dtype=dtype),
        "generation_config.json": {"bos_token_id": end_of_text, "eos_token_id": end_of_text},
    }
    for name, content in written.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if tokenizer is not None:
        write_tokenizer_files(tokenizer, folder, n_ctx=config.n_ctx)
