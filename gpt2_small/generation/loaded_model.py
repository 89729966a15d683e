"""Load a trained model together with its tokenizer."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.generation.decoder import Decoder, UncachedDecoder
from gpt2_small.generation.prompts import prompt_ids
from gpt2_small.model.cached_decoder import CachedDecoder
from gpt2_small.model.eligibility import stands_in_for
from gpt2_small.model.packed_weights import PackedTransformer
from gpt2_small.model_protocol import Model
from gpt2_small.runs.folder import is_run, load_run
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.weights import find_pretrained, load_hugging_face
from gpt2_small.weights.folder_tokenizer import tokenizer_beside
from gpt2_small.weights.hub_models import has_gpt2_tokenizer


@dataclass
class LoadedModel:
    """A model and its tokenizer; all its decoders share one packed copy of the weights.

    name: its name on the screen.
    remarks: notes for the user about how it was loaded.
    """

    name: str
    model: Model
    tokenizer: Tokenizer
    remarks: tuple[str, ...] = ()
    _packed: tuple[Any, PackedTransformer] | None = field(default=None, init=False, repr=False)

    def new_decoder(self) -> Decoder:
        """A decoder with its own cache, on the packed weights that all decoders share.

        The weights are packed at first use, and again after a parameter was changed in place. A
        change through `.data` is not detected: make a new LoadedModel after one.
        """
        if not stands_in_for(self.model):
            return UncachedDecoder(self.model)
        versions = [*map(_version, self.model.parameters())]
        if self._packed is None or self._packed[0] != versions:
            self._packed = versions, PackedTransformer(self.model)
        return CachedDecoder(self._packed[1])

    def check_fits(self, prompt: str) -> None:
        """Raises UserError for a prompt with unknown tokens or more than n_ctx of them."""
        config = self.model.config
        length = len(prompt_ids(self.tokenizer, prompt, config.d_vocab))
        if length > config.n_ctx:
            raise UserError(
                f"the prompt has {length:,} tokens, more than the {config.n_ctx:,} that "
                f"{self.name} can read; give a shorter one"
            )


def _version(parameter: Tensor) -> tuple[int, int]:
    """A parameter's address, and its number of in-place changes."""
    return parameter.data_ptr(), 0 if parameter.is_inference() else parameter._version


def open_model(
    name_or_folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> LoadedModel:
    """Load the bound solution's Transformer with trained weights, in eval mode, and its tokenizer.

    name_or_folder, dtype: as in `weights.load_pretrained`. A Hugging Face folder without tokenizer
        files gets GPT-2's tokenizer if its vocabulary has GPT-2's size; files exported by this
        program are checked against their hashes.

    Raises UserError as `weights.load_pretrained` does, and for a missing or unsupported tokenizer.
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
