"""Draw the first weights of a run, or take those of another model."""

from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from gpt2_small.errors import UserError
from gpt2_small.generation.loaded_model import LoadedModel, open_model
from gpt2_small.model_protocol import Config, Model
from gpt2_small.tokenizers.chat_roles import extends
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.training.checkpointing.grown_weights import grown
from gpt2_small.training.recipes.recipe import Recipe

# A model's fields that a run may choose although its weights come from elsewhere.
MAY_DIFFER = ("dropout",)
MAY_GROW = ("n_ctx",)


@dataclass(frozen=True)
class InitialWeights:
    """The weights that a run begins with, of `--init-from`.

    name: as the user gave it.
    """

    name: str
    source: LoadedModel

    @classmethod
    def open(cls, name: str, device: torch.device) -> "InitialWeights":
        """The weights of a run, a folder or a name. Raises UserError when there are none."""
        return cls(name, open_model(name, device=device))

    def fields(self, given: dict[str, Any]) -> dict[str, Any]:
        """The fields of the model to train: those of the weights, its dropout as given.

        The context may be longer than that of the weights.

        Raises UserError for a field that the weights do not have.
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
        """The rows of the model's embedding for a data source's tokenizer.

        Raises UserError when that is neither the weights' own nor extends it.
        """
        own, rows = self.source.tokenizer, self.source.model.config.d_vocab
        if tokenizer.to_dict() == own.to_dict():
            return int(rows)
        if extends(tokenizer, own):
            return max(int(rows), tokenizer.d_vocab)
        with_them = "" if tokenizer.roles is None else ", with roles or without"
        raise UserError(
            f"{data} has the tokenizer {tokenizer.name!r}, but {self.name} was trained with "
            f"{own.name!r}; prepare the data with that one{with_them}"
        )

    def state(self, config: Config, tokenizer: Tokenizer) -> dict[str, Tensor]:
        """The weights for a model of this config, grown where it has more than they have."""
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
    """A Transformer with its first weights: drawn from the recipe's seed, or those given.

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
