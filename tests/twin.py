"""Compare the fast twin with the reference whose parameters it uses."""

from dataclasses import replace

import torch
from strategies import SMALL, Case

from gpt2_small.check.tolerances import assert_close
from gpt2_small.model import fast, products

WIDE = replace(SMALL, d_mlp=products.WIDEST_KEPT + 8)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def window(case: Case) -> torch.Tensor:
    return torch.cat([case.tokens(), case.tokens(stream=5)[:, :1]], dim=1)


def assert_same_function(solution, case: Case, tied: bool, positions_per_chunk: int) -> None:
    """Loss, logits and every gradient, of the loss scaled by a factor, as in accumulation."""
    model = case.build(solution, "Transformer", tied_embeddings=tied)
    twin = fast.FastTransformer(model, positions_per_chunk=positions_per_chunk)
    batch = window(case)
    expected = solution.batch_loss(model, batch)
    assert_close(twin(batch), expected, "the loss")
    assert_close(twin.logits(batch[:, :-1]), model(batch[:, :-1]), "the logits")
    wanted = gradients(model, 0.7 * expected)
    got = gradients(model, 0.7 * twin(batch))
    for name in wanted:
        assert_close(got[name], wanted[name], f"the gradient of {name}")
