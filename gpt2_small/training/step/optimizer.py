"""Create a run's optimizer from the solution's parameter groups."""

from types import ModuleType

import torch

from gpt2_small import binding
from gpt2_small.errors import UserError, first_line
from gpt2_small.model_protocol import Model
from gpt2_small.training.recipes.recipe import Recipe


def new_optimizer(solution: ModuleType, model: Model, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW over the solution's groups. Raises UserError for groups that it refuses."""
    groups = solution.parameter_groups(model, weight_decay=recipe.weight_decay)
    betas = (recipe.beta1, recipe.beta2)
    try:
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=betas, fused=True)
    except (TypeError, ValueError, KeyError) as error:
        if binding.is_reference(solution):
            raise
        raise UserError(
            f"AdamW refuses the groups of parameter_groups in {solution.__file__} "
            f"({first_line(error)}); gpt2-small check finds the mistake"
        ) from error
