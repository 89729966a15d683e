"""Test parameter_groups: matrices decay, gains and biases do not."""

import pytest
import torch
from claims_as_tests import claims_about
from strategies import for_every_case

test_it_keeps_the_claim = claims_about("parameter_groups")


@pytest.mark.component("parameter_groups")
@for_every_case
def test_in_every_small_model_weight_decay_shrinks_only_the_matrices(solution, case):
    model = case.fit_for(solution).build(solution, "Transformer", tied_embeddings=False)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    groups = solution.parameter_groups(model, weight_decay=0.5)
    optimizer = torch.optim.AdamW(groups, foreach=False)
    for group in optimizer.param_groups:  # as train does; a group may have a rate of its own
        group["lr"] = 0.1
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if name.split(".")[-1].startswith("W") else 1.0
        assert torch.allclose(parameter, factor * before[name], rtol=1e-5, atol=1e-30), name
