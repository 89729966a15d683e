"""Draw the first weights of a run, or take those of another model."""

from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import torch

from gpt2_small.errors import UserError
from gpt2_small.generation.loaded_model import LoadedModel, open_model
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.training.recipe import Recipe

# A model's fields that a run may choose although its weights come from elsewhere.
MAY_DIFFER = ("dropout",)


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

        Raises UserError for a field that the weights do not have.
        """
        fields = asdict(self.source.model.config)
        for name, value in given.items():
            if name not in MAY_DIFFER and fields.get(name) != value:
                raise UserError(
                    f"{name} is {value}, but the weights of {self.name} have {fields.get(name)}; "
                    f"leave {name} out"
                )
        return {**fields, **given}

    def check_tokenizer(self, data: str, tokenizer: Tokenizer) -> None:
        """Raises UserError when a data source has another tokenizer than the weights."""
        own = self.source.tokenizer
        if tokenizer.to_dict() != own.to_dict():
            raise UserError(
                f"{data} has the tokenizer {tokenizer.name!r}, but {self.name} was trained with "
                f"{own.name!r}; prepare the text with that one"
            )


def initialised_model(
    solution: ModuleType,
    config: Any,
    recipe: Recipe,
    device: torch.device,
    initial: InitialWeights | None,
) -> Any:
    """A Transformer with its first weights: drawn from the recipe's seed, or those given."""
    torch.manual_seed(recipe.seed)
    model = solution.Transformer(config).to(device)
    if initial is not None:
        model.load_state_dict(initial.source.model.state_dict())
    else:
        with torch.no_grad():
            model.embed.W_E.mul_(recipe.embedding_scale)
    return model
