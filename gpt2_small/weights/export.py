"""Export a model as a folder that Hugging Face's libraries and TransformerLens load."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.files.atomic import atomic_folder
from gpt2_small.files.json_files import read_json_object
from gpt2_small.model.building import fill
from gpt2_small.model_protocol import Model
from gpt2_small.runs.checkpoint_folders import WEIGHTS
from gpt2_small.runs.folder import CONFIG, load_model, read_run
from gpt2_small.tokenizers.byte_pairs import ByteLevelTokenizer
from gpt2_small.tokenizers.chat_roles import SUFFIX, ChatTokenizer
from gpt2_small.tokenizers.hugging_face import HuggingFaceTokenizer, write_tokenizer_files
from gpt2_small.tokenizers.hugging_face.tokenizer_settings import GENERATION_CONFIG
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.weights.hugging_face_config import (
    fields_from_config,
    make_config,
    make_generation_config,
)
from gpt2_small.weights.hugging_face_tensors import from_hugging_face, to_hugging_face

# Largest relative difference of logits that two implementations may have by rounding alone, by
# type: 48 blocks summed in another order.
LOGIT_TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4}
HALF_PRECISION_TOLERANCE = 0.1
# Tokenizers of Hugging Face folders: every row of their models may have been trained.
OF_FOLDERS = (HuggingFaceTokenizer.kind, ByteLevelTokenizer.name)
COMPARED_ROWS, COMPARED_POSITIONS = 2, 32


def export_hugging_face(
    run_or_model: str | Path | Model,
    folder: str | Path,
    *,
    tokenizer: Tokenizer | None = None,
) -> Path:
    """Write a model as a Hugging Face GPT-2, atomically; returns the folder.

    The folder gets `config.json`, `generation_config.json`, `model.safetensors`, the tokenizer's
    files, and a manifest with the SHA-256 of each. Padding rows of the vocabulary are removed. If
    the tokenizer has roles or comes from a Hugging Face folder, they are written and listed as
    `suppress_tokens`.

    run_or_model: the folder of a run (its latest checkpoint), or a model.
    tokenizer: of a model; left out, no tokenizer is written. A run has its own.

    Raises UserError for a folder that is not empty, for parameters that Hugging Face's GPT-2 does
    not have, for a model that computes another function than the exported one, and when the folder
    cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give a new folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; give a new folder")
    model: Model
    if isinstance(run_or_model, str | Path):
        model, tokenizer = load_model(run_or_model), read_run(run_or_model).load_tokenizer()
    else:
        model = run_or_model
    with atomic_folder(folder) as aside:
        _write(model, tokenizer, aside)
        check_same_function(model, aside)
    return folder


def _write(model: Model, tokenizer: Tokenizer | None, folder: Path) -> None:
    config = model.config
    d_vocab = exported_rows(config.d_vocab, tokenizer)
    state = {name: parameter.detach().cpu() for name, parameter in model.named_parameters()}
    try:
        tensors = to_hugging_face(state, config, d_vocab=d_vocab)
    except KeyError as missing:
        raise UserError(
            f"the model is no GPT-2: it has no parameter {missing.args[0]}, which Hugging Face's "
            "GPT-2 has; nothing was written"
        ) from None
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    dtype = state["embed.W_E"].dtype
    written = {
        CONFIG: make_config(config, d_vocab=d_vocab, tokenizer=tokenizer, dtype=dtype),
        GENERATION_CONFIG: make_generation_config(tokenizer, d_vocab),
    }
    for name, content in written.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if tokenizer is not None:
        write_tokenizer_files(tokenizer, folder, n_ctx=config.n_ctx)


def exported_rows(d_vocab: int, tokenizer: Tokenizer | None) -> int:
    """The number of rows of the exported embedding.

    Raises UserError when the model has fewer rows than its tokenizer has tokens.
    """
    if tokenizer is None or tokenizer.name.removesuffix(SUFFIX) in OF_FOLDERS:
        return d_vocab
    if tokenizer.vocab_size > d_vocab:
        raise UserError(
            f"the tokenizer has {tokenizer.vocab_size} tokens, but the model only {d_vocab}; "
            "give the tokenizer it was trained with"
        )
    return d_vocab if isinstance(tokenizer, ChatTokenizer) else tokenizer.vocab_size


@torch.no_grad()
def check_same_function(model: Model, folder: Path) -> None:
    """Raises UserError unless the model has the same logits as the exported GPT-2.

    The reference computes the exported model from the folder's files.
    """
    written, source = load_file(folder / WEIGHTS), str(folder / CONFIG)
    fields = fields_from_config(read_json_object(folder / CONFIG), written, source)
    reference = _reference()
    config = reference.TransformerConfig(**fields)
    exported = reference.Transformer(config).to(next(model.parameters()).dtype).eval()
    fill(exported, from_hugging_face(written, config, source), source=source)
    generator = torch.Generator().manual_seed(0)
    length = min(config.n_ctx, COMPARED_POSITIONS)
    tokens = torch.randint(config.d_vocab, (COMPARED_ROWS, length), generator=generator)
    was_training = model.training
    model.eval()
    ours = model(tokens.to(next(model.parameters()).device)).cpu()[..., : config.d_vocab]
    model.train(was_training)
    difference = (ours.double() - exported(tokens).double()).abs().max()
    allowed = LOGIT_TOLERANCES.get(ours.dtype, HALF_PRECISION_TOLERANCE)
    if not difference <= allowed * max(1.0, float(ours.abs().max())):  # false for NaN too
        raise UserError(
            f"the model is no GPT-2: its logits differ by up to {float(difference):.2g} from those "
            "of the Hugging Face GPT-2 with its weights, which would be another model; nothing was "
            "written"
        )


def _reference() -> Any:
    """The reference solution as a module, even if another file is bound."""
    bound = binding.bound()
    return bound if binding.is_reference(bound) else binding.load(binding.reference_path())
