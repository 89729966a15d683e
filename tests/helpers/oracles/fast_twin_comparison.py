"""Compare the fast twin with the reference whose parameters it uses."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from assert_close import assert_close
from strategies import Case
from torch import Tensor, nn

from gpt2_small.kernels import matmul
from gpt2_small.model import twin as fast

# bfloat16 has 8 significant bits: twin and reference, which round at different places, differ from
# float32 by about a hundredth. The twin's error may exceed the model's by this factor.
BFLOAT16_SLACK = 1.5

# Window lengths: few tokens, for which cast weights are cached, and many, for which they are not.
SEQ = 64
FEW, MANY = 4, matmul.ROWS_TO_CAST_AGAIN // SEQ + 1


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: gradient_of(parameter) for name, parameter in model.named_parameters()}


def gradient_of(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad.clone()


def window(case: Case) -> torch.Tensor:
    return torch.cat([case.tokens(), case.tokens(stream=5)[:, :1]], dim=1)


def assert_same_function(
    solution: ModuleType, case: Case, tied: bool, positions_per_chunk: int
) -> None:
    """Compare loss, logits and every gradient, with the loss scaled as in accumulation."""
    model: Any = case.build(solution, "Transformer", tied_embeddings=tied)
    twin = fast.FastTransformer(model, positions_per_chunk=positions_per_chunk)
    batch = window(case)
    expected = solution.batch_loss(model, batch)
    assert_close(twin(batch), expected, "the loss")
    assert_close(twin.logits(batch[:, :-1]), model(batch[:, :-1]), "the logits")
    wanted = gradients(model, 0.7 * expected)
    got = gradients(model, 0.7 * twin(batch))
    for name in wanted:
        assert_close(got[name], wanted[name], f"the gradient of {name}")


def assert_as_near_in_bfloat16(solution: ModuleType, tied: bool, batch: int) -> None:
    """Under autocast, compare the error of each gradient with that of the model's gradient."""
    case = Case(n_heads=4, d_head=16, d_mlp=256, n_ctx=SEQ, seq=SEQ, d_vocab=300, batch=batch)
    case = replace(case, dtype=torch.float32)
    model: Any = case.build(solution, "Transformer", tied_embeddings=tied)
    twin = fast.FastTransformer(model, positions_per_chunk=50)
    exact = gradients(model, solution.batch_loss(model, window(case)))
    with torch.autocast("cpu", torch.bfloat16):
        loss, twins_loss = solution.batch_loss(model, window(case)), twin(window(case))
    assert abs(twins_loss.item() / loss.item() - 1) < 1e-2
    wanted, got = gradients(model, loss), gradients(model, twins_loss)
    for name, gradient in exact.items():
        if name.endswith("b_K"):
            continue  # exactly 0: softmax is invariant to a constant added to all scores
        models_error = (wanted[name] - gradient).norm() / gradient.norm()
        twins_error = (got[name] - gradient).norm() / gradient.norm()
        assert twins_error < BFLOAT16_SLACK * models_error + 1e-3, name
