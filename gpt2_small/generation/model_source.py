"""A trained model together with the tokenizer it was trained with."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from gpt2_small.errors import UserError
from gpt2_small.files import has_manifest, verified
from gpt2_small.generation.decoders import NextLogits, decoder_for
from gpt2_small.generation.streaming import prompt_ids
from gpt2_small.runs import load_model, read_run
from gpt2_small.runs.folder import is_run
from gpt2_small.tokenizers.hugging_face import read_hugging_face_files
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import GPT2Tokenizer
from gpt2_small.weights import find_pretrained, load_hugging_face
from gpt2_small.weights.hub import TOKENIZER_FILES, TOKENIZER_SETTINGS

VOCABULARIES = ("tokenizer.json", "vocab.json")
# GPT-2's vocabulary, and the multiple of 128 to which it is often padded.
GPT2_VOCABULARIES = range(50257, 50304 + 1)


@dataclass(frozen=True)
class Source:
    """A model that can be asked.

    name: what it is called on the screen.
    """

    name: str
    model: Any
    tokenizer: Tokenizer

    @cached_property
    def decoder(self) -> NextLogits:
        """The model's weights as they are when this is first asked for, packed for decoding."""
        return decoder_for(self.model)

    def check_fits(self, prompt: str) -> None:
        """Raises UserError for a prompt that the model cannot read, or not whole."""
        config = self.model.config
        length = len(prompt_ids(self.tokenizer, prompt, config.d_vocab))
        if length > config.n_ctx:
            raise UserError(
                f"the prompt has {length:,} tokens, more than the {config.n_ctx:,} that "
                f"{self.name} can read; give a shorter one"
            )


def open_source(
    name_or_folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Source:
    """The bound solution's Transformer with trained weights, in eval mode, and its tokenizer.

    name_or_folder, dtype: as in `runs.load_pretrained`. A Hugging Face folder without tokenizer
        files gets GPT-2's tokenizer when its vocabulary has GPT-2's size; files that this program
        exported are checked against their hashes.

    Raises UserError as `runs.load_pretrained` does, and when the tokenizer is missing or of a kind
    that cannot be read.
    """
    folder = find_pretrained(name_or_folder, with_tokenizer=True)
    if is_run(folder):
        run = read_run(folder)
        tokenizer, step = run.load_tokenizer(), run.latest_checkpoint().step
        model = load_model(folder, device=device, dtype=dtype)
        return Source(f"{name_or_folder}, step {step:,}", model, tokenizer)
    model = load_hugging_face(folder, device=device, dtype=dtype)
    return Source(str(name_or_folder), model, _tokenizer_beside(folder, model.config.d_vocab))


def _tokenizer_beside(folder: Path, d_vocab: int) -> Tokenizer:
    if any((folder / file).is_file() for file in VOCABULARIES):
        for file in (*TOKENIZER_FILES, *TOKENIZER_SETTINGS):
            if has_manifest(folder) and (folder / file).is_file():
                verified(folder, file)
        return read_hugging_face_files(folder)
    if d_vocab in GPT2_VOCABULARIES:
        return GPT2Tokenizer()
    raise UserError(
        f"{folder} holds no tokenizer ({' or '.join(VOCABULARIES)}), and its vocabulary of "
        f"{d_vocab} is not GPT-2's; put the tokenizer's files beside the weights"
    )
