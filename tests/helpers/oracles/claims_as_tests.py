"""Run the claims about a part, and compare it with torch's operation in all small shapes."""

from collections.abc import Callable
from types import ModuleType
from typing import cast

import pytest
import torch
from assert_close import assert_close
from strategies import Case, for_every_case, parameters

from gpt2_small import binding
from gpt2_small.checker.claims import Claim, claims_of
from gpt2_small.checker.claims.judging.runner import judge_one
from gpt2_small.checker.claims.judging.torch_oracle import computed
from gpt2_small.checker.claims.observing.probes import own_parameters
from gpt2_small.checker.pytest_items import raise_unless_passed, result_of

READS_TOKENS = ("Embedding", "PositionalEmbedding", "Transformer")


def claims_about(part: str) -> Callable[..., None]:
    """Return a test for each claim; of a learner's file it shows what `gpt2-small check` prints."""

    @pytest.mark.component(part)
    @pytest.mark.claim
    @pytest.mark.parametrize("claim", claims_of(part), ids=lambda claim: claim.name)
    def test_claim(request: pytest.FixtureRequest, solution: ModuleType, claim: Claim) -> None:
        if binding.is_reference(solution):
            result = judge_one(claim, solution, seed=1).result
            assert result.message == ""
        else:
            result = result_of(request.session, claim)
        raise_unless_passed(result)

    return cast(Callable[..., None], test_claim)


def torchs_operation_about(part: str, **config: object) -> Callable[..., None]:
    """Return a test that output and gradients equal torch's own operation in small shapes."""

    @pytest.mark.component(part)
    @for_every_case
    def test_operation(solution: ModuleType, case: Case) -> None:
        case = case.fit_for(solution)
        module = case.build(solution, part, **config)
        tokens = part in READS_TOKENS
        equals_torch(part, module, case.tokens() if tokens else case.residual())
        case = case.with_soft_patterns()
        gradients_equal_torchs(part, module, case.tokens() if tokens else case.residual(), case)

    return cast(Callable[..., None], test_operation)


def equals_torch(part: str, module: torch.nn.Module, inputs: torch.Tensor) -> None:
    """Assert that the output equals torch's own, to rounding."""
    assert_close(module(inputs), computed(part, parameters(module), inputs), "the output")


def gradients_equal_torchs(
    part: str, module: torch.nn.Module, inputs: torch.Tensor, case: Case
) -> None:
    """Assert that gradients with respect to the input and every parameter equal torch's."""
    theirs = parameters(module)
    ours: dict[str, torch.Tensor] = dict(own_parameters(module, theirs))
    if inputs.is_floating_point():
        inputs = inputs.clone().requires_grad_()
        theirs["the input"] = ours["the input"] = inputs
    expected = computed(part, theirs, inputs)
    weights = torch.randn(expected.shape, generator=case.generator(7)).to(expected)
    wanted = torch.autograd.grad((expected * weights).sum(), list(theirs.values()))
    got = torch.autograd.grad((module(inputs) * weights).sum(), [ours[name] for name in theirs])
    for name, actual, gradient in zip(theirs, got, wanted, strict=True):
        assert_close(actual, gradient, f"the gradient with respect to {name}")
