"""Load a trained model together with its tokenizer."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.generation.decoders import Decoder, UncachedDecoder
from gpt2_small.generation.prompts import prompt_ids
from gpt2_small.model.cached_decoder import CachedDecoder
from gpt2_small.model.eligibility import stands_in_for
from gpt2_small.model.packed_weights import PackedTransformer
from gpt2_small.model_protocol import Model
from gpt2_small.runs.folder import is_run, load_run
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.weights import find_pretrained, load_hugging_face
from gpt2_small.weights.folder_tokenizer import tokenizer_beside
from gpt2_small.weights.hub import has_gpt2_tokenizer


@dataclass
class LoadedModel:
    """A model and its tokenizer, whose weights are packed once for all its decoders.

    name: what it is called on the screen.
    remarks: what is worth saying about how it was opened.
    """

    name: str
    model: Model
    tokenizer: Tokenizer
    remarks: tuple[str, ...] = ()
    _packed: tuple[Any, PackedTransformer] | None = field(default=None, init=False, repr=False)

    def new_decoder(self) -> Decoder:
        """A decoder with a cache of its own, on weights that all decoders of this model share.

        The weights are packed at first use, and again once a parameter was changed in place; a
        change through `.data` is not seen: make a new LoadedModel after one.
        """
        if not stands_in_for(self.model):
            return UncachedDecoder(self.model)
        versions = [*map(_version, self.model.parameters())]
        if self._packed is None or self._packed[0] != versions:
            self._packed = versions, PackedTransformer(self.model)
        return CachedDecoder(self._packed[1])

    def check_fits(self, prompt: str) -> None:
        """Raises UserError for a prompt that the model cannot read, or not whole."""
        config = self.model.config
        length = len(prompt_ids(self.tokenizer, prompt, config.d_vocab))
        if length > config.n_ctx:
            raise UserError(
                f"the prompt has {length:,} tokens, more than the {config.n_ctx:,} that "
                f"{self.name} can read; give a shorter one"
            )


def _version(parameter: Tensor) -> tuple[int, int]:
    """A parameter's address, and the number of changes in place."""
    return parameter.data_ptr(), 0 if parameter.is_inference() else parameter._version


def open_model(
    name_or_folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> LoadedModel:
    """The bound solution's Transformer with trained weights, in eval mode, and its tokenizer.

    name_or_folder, dtype: as in `runs.load_pretrained`. A Hugging Face folder without tokenizer
        files gets GPT-2's tokenizer when its vocabulary has GPT-2's size; files that this program
        exported are checked against their hashes.

    Raises UserError as `runs.load_pretrained` does, and when the tokenizer is missing or of a kind
    that cannot be read.
    """
    folder = find_pretrained(name_or_folder, with_tokenizer=True)
    if is_run(folder):
        loaded = load_run(folder, device=device, dtype=dtype)
        remarks: tuple[str, ...] = (loaded.remark,) if loaded.remark else ()
        name = f"{name_or_folder}, step {loaded.step:,}"
        return LoadedModel(name, loaded.model, loaded.run.load_tokenizer(), remarks)
    model = load_hugging_face(folder, device=device, dtype=dtype)
    is_gpt2 = has_gpt2_tokenizer(str(name_or_folder))
    tokenizer, remarks = tokenizer_beside(folder, model.config.d_vocab, is_gpt2=is_gpt2)
    return LoadedModel(str(name_or_folder), model, tokenizer, remarks)
