"""parameter_groups: matrices decay, gains and biases do not."""

from dataclasses import replace

import pytest
import torch
from strategies import SMALL, for_every_case

pytestmark = pytest.mark.component("parameter_groups")

DECAYING = {"W_E", "W_pos", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out", "W_U"}


def names_by_decay(solution, model, weight_decay=0.1):
    """The names in the group that decays, and those in the group that does not."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = solution.parameter_groups(model, weight_decay=weight_decay)
    assert len(groups) == 2
    by_decay = {group["weight_decay"]: [names[id(p)] for p in group["params"]] for group in groups}
    return by_decay[weight_decay], by_decay[0.0]


@for_every_case
def test_every_parameter_is_in_exactly_one_group(solution, case):
    for tied in (True, False):
        model = case.build(solution, "Transformer", tied_embeddings=tied)
        decaying, others = names_by_decay(solution, model)
        assert sorted(decaying + others) == sorted(name for name, _ in model.named_parameters())


@for_every_case
def test_exactly_the_matrices_decay(solution, case):
    model = case.build(solution, "Transformer", tied_embeddings=False)
    decaying, others = names_by_decay(solution, model)
    assert {name.split(".")[-1] for name in decaying} == DECAYING
    assert {name.split(".")[-1] for name in others}.isdisjoint(DECAYING)


def test_the_biases_of_queries_keys_and_values_do_not_decay_though_stored_a_row_a_head(solution):
    _, others = names_by_decay(solution, SMALL.build(solution, "Transformer"))
    for layer in range(SMALL.n_layers):
        assert {f"blocks.{layer}.attn.b_{x}" for x in "QKV"} <= set(others)


def test_without_decay_there_are_still_two_groups(solution):
    model = SMALL.build(solution, "Transformer")
    groups = solution.parameter_groups(model, weight_decay=0.0)
    assert [group["weight_decay"] for group in groups] == [0.0, 0.0]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_the_groups_hold_the_models_own_parameters(solution):
    model = SMALL.build(solution, "Transformer")
    groups = solution.parameter_groups(model, weight_decay=0.1)
    ours = {id(parameter) for parameter in model.parameters()}
    assert {id(p) for group in groups for p in group["params"]} == ours


def test_torchs_adamw_shrinks_the_matrices_and_nothing_else(solution):
    model = replace(SMALL, dtype=torch.float64).build(solution, "Transformer")
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW(solution.parameter_groups(model, weight_decay=0.5), lr=0.1)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if name.split(".")[-1] in DECAYING else 1.0
        assert torch.allclose(parameter, factor * before[name], rtol=1e-12, atol=0), name
