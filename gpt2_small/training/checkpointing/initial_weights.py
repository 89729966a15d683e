"""Initialise the weights of a run, randomly or from another model."""

from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from gpt2_small.errors import UserError, shell_word
from gpt2_small.generation.loaded_model import LoadedModel, open_model
from gpt2_small.model_protocol import Config, Model
from gpt2_small.tokenizers.chat_roles import SUFFIX, extends
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.training.checkpointing.grown_weights import grown
from gpt2_small.training.recipes.recipe import Recipe

# Fields of the model that a run may set although its weights come from another model.
MAY_DIFFER = ("dropout",)
MAY_GROW = ("n_ctx",)


@dataclass(frozen=True)
class InitialWeights:
    """The model of `--init-from`, whose weights a run begins with.

    name: as given by the user.
    """

    name: str
    source: LoadedModel

    @classmethod
    def open(cls, name: str, device: torch.device) -> "InitialWeights":
        """Load the model of a run, a folder or a name. Raises UserError if it cannot be loaded."""
        return cls(name, open_model(name, device=device))

    def fields(self, given: dict[str, Any]) -> dict[str, Any]:
        """The fields of the model to train: the source's, with the given dropout and context.

        The context may only be longer than the source's.

        Raises UserError for another value of any other field.
        """
        fields = asdict(self.source.model.config)
        for name, value in given.items():
            if name in MAY_GROW and isinstance(value, int) and value > fields[name]:
                continue
            if name not in MAY_DIFFER and fields.get(name) != value:
                raise UserError(
                    f"{name} is {value}, but the weights of {self.name} have {fields.get(name)}; "
                    f"leave {name} out"
                )
        return {**fields, **given}

    def vocabulary(self, data: str, tokenizer: Tokenizer) -> int:
        """The model's vocabulary size for a data source's tokenizer.

        Raises UserError unless that is the source's own tokenizer or extends it.
        """
        own, rows = self.source.tokenizer, self.source.model.config.d_vocab
        if tokenizer.to_dict() == own.to_dict():
            return int(rows)
        if extends(tokenizer, own):
            return max(int(rows), tokenizer.d_vocab)
        wanted = shell_word(self.name)
        if own.name in ("gpt2", "byte"):
            wanted = own.name if tokenizer.roles is None else f"{own.name}{SUFFIX}"
        how = f"prepare the data again with --tokenizer {wanted}"
        if own.name == "stories":  # a vocabulary of fixed words, which other texts exceed
            how = "prepare `stories`, or `dialogues` with --chat, and leave --tokenizer out"
        raise UserError(
            f"{data} has the tokenizer {tokenizer.name!r}, but {self.name} was trained with "
            f"{own.name!r}; {how}"
        )

    def state(self, config: Config, tokenizer: Tokenizer) -> dict[str, Tensor]:
        """The source's weights, enlarged for a model of this config."""
        weights, own = self.source.model.state_dict(), self.source.tokenizer
        known = own.vocab_size if tokenizer.to_dict() != own.to_dict() else None
        return grown(weights, config, known)


def initialised_model(
    solution: ModuleType,
    config: Config,
    recipe: Recipe,
    device: torch.device,
    initial: InitialWeights | None,
    tokenizer: Tokenizer,
) -> Model:
    """Build a Transformer with weights drawn from the recipe's seed, or copied from `initial`.

    tokenizer: of the data.
    """
    torch.manual_seed(recipe.seed)
    model: Model = solution.Transformer(config).to(device)
    if initial is not None:
        model.load_state_dict(initial.state(config, tokenizer))
    else:
        with torch.no_grad():
            model.embed.W_E.mul_(recipe.embedding_scale)
    return model
