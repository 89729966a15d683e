"""Test the creation of a run's optimizer."""

from types import ModuleType

import pytest

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.training.recipes.recipe import Recipe
from gpt2_small.training.step.optimizer import new_optimizer


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        (lambda model, **_: [{"params": set(model.parameters())}], "ordered collections"),
        (lambda _model, **_: [], "empty parameter list"),
    ],
)
def test_groups_that_adamw_refuses_are_one_sentence_with_the_file(
    groups, reason, solution, monkeypatch
):
    mine = ModuleType("mine")
    mine.__file__, mine.parameter_groups = "mine.py", groups
    monkeypatch.setattr(binding, "is_reference", lambda module: module is not mine)
    model = solution.LayerNorm(solution.TransformerConfig(d_model=4, n_heads=1))
    with pytest.raises(UserError, match=rf"parameter_groups in mine.py \(.*{reason}"):
        new_optimizer(mine, model, Recipe(max_steps=1, batch_size=1, learning_rate=0.1))
