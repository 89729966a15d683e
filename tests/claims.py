"""Claims that several parts share, each a function that raises AssertionError when it is false."""

import math
from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from strategies import Case, parameters
from torch import Tensor, nn

from gpt2_small import binding
from gpt2_small.checker.tolerances import assert_close

Oracle = Callable[[dict[str, Tensor], Tensor], Tensor]

# A standard normal variable is further out than this with probability 1.3e-15. Means and spreads of
# a thousand draws and more are near enough to normal for fewer than one false alarm in 10^9 claims.
SIGMAS = 8.0


def equals_torch(module: nn.Module, inputs: Tensor, oracle: Oracle) -> None:
    """The output is torch's own, to rounding."""
    assert_close(module(inputs), oracle(parameters(module), inputs), "the output")


def gradients_equal_torchs(module: nn.Module, inputs: Tensor, oracle: Oracle) -> None:
    """So are the gradients with respect to the input and every parameter."""
    theirs, ours = parameters(module), dict(module.named_parameters())
    if inputs.is_floating_point():
        inputs = inputs.clone().requires_grad_()
        theirs["the input"] = ours["the input"] = inputs
    expected = oracle(theirs, inputs)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1)).to(expected)
    wanted = torch.autograd.grad((expected * weights).sum(), list(theirs.values()))
    got = torch.autograd.grad((module(inputs) * weights).sum(), list(ours.values()))
    for name, actual, gradient in zip(ours, got, wanted, strict=True):
        assert_close(actual, gradient, f"the gradient with respect to {name}")


def positions_do_not_touch(module: nn.Module, case: Case) -> None:
    """A position's output depends on that position's input alone."""
    residual = case.residual()
    together = module(residual)
    for position in {0, case.position(), case.seq - 1}:
        alone = module(residual[:, position : position + 1])
        assert_close(together[:, position : position + 1], alone, f"position {position}")


def rows_do_not_touch(module: nn.Module, inputs: Tensor) -> None:
    """Every row of a batch gives what it gives alone."""
    together = module(inputs)
    for row in range(len(inputs)):
        assert_close(together[row : row + 1], module(inputs[row : row + 1]), f"row {row}")


def later_positions_do_not_matter(module: nn.Module, inputs: Tensor, changed: Tensor) -> None:
    """Whatever replaces the inputs from a position on, every output before it stays the same."""
    before, seq = module(inputs), inputs.shape[1]
    for position in {1, seq // 2, seq - 1} & set(range(1, seq)):
        mixed = torch.cat([inputs[:, :position], changed[:, position:]], dim=1)
        what = f"the outputs before position {position}, from which on the input was changed,"
        assert_close(module(mixed)[:, :position], before[:, :position], what)


def no_gradient_reaches_a_later_position(outputs: Tensor, inputs: Tensor) -> None:
    """An output's gradient with respect to every later input is exactly 0."""
    seq = outputs.shape[1]
    for position in {0, seq // 2, seq - 2} & set(range(seq)):
        (gradient,) = torch.autograd.grad(outputs[:, position].sum(), inputs, retain_graph=True)
        assert not gradient[:, position + 1 :].any(), f"position {position} sees a later one"


def leaves_its_input_alone(module: nn.Module, inputs: Tensor) -> None:
    before = inputs.clone()
    module(inputs)
    assert torch.equal(inputs, before), "the input was changed in place"


def reads_any_memory_layout(module: nn.Module, inputs: Tensor) -> None:
    """Inputs whose neighbours are not neighbours in memory give the same output."""
    scattered = inputs.transpose(0, 1).contiguous().transpose(0, 1)
    assert_close(module(scattered), module(inputs), "the output of an input laid out otherwise")


def runs_in(dtype: torch.dtype, module: nn.Module, inputs: Tensor) -> None:
    """With parameters and input of this dtype the output has it too, finite and roughly right."""
    expected = module(inputs)
    module = module.to(dtype)
    actual = module(inputs.to(dtype) if inputs.is_floating_point() else inputs)
    assert actual.dtype == dtype
    error = (actual.to(expected.dtype) - expected).norm() / expected.norm()
    assert error < 0.1, f"in {dtype} the output is off by {error:.2g} of its size"


def holds_exactly(module: nn.Module, shapes: dict[str, tuple[int, ...]]) -> None:
    """The module's state is these parameters, all of them trainable, and nothing else."""
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == shapes
    assert set(module.state_dict()) == set(shapes)
    assert all(p.requires_grad for p in module.parameters())


def is_fresh_noise(parameter: Tensor, std: float) -> None:
    """Independent draws of mean 0 and this standard deviation, to the error of that many draws."""
    values, count = parameter.detach().double().flatten(), parameter.numel()
    assert count >= 1000
    assert abs(values.mean().item()) < SIGMAS * std / math.sqrt(count)
    spread = values.square().mean().sqrt().item()
    assert abs(spread / std - 1) < SIGMAS / math.sqrt(2 * count), f"std {spread:.4g}, not {std:.4g}"


def happens_with(probability: float, events: Tensor) -> None:
    """Independent events have this probability, to the error of that many of them."""
    count = events.numel()
    assert count >= 1000
    error = SIGMAS * math.sqrt(probability * (1 - probability) / count)
    share = events.double().mean().item()
    assert abs(share - probability) < error, f"a share of {share:.4f}, not {probability}"


def fresh(solution: ModuleType, part: str, seed: int, **config: object) -> nn.Module:
    """A part as its constructor leaves it, with torch's global randomness put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return getattr(solution, part)(solution.TransformerConfig(**config))


class Heard(list[Tensor]):
    """What has passed a tap; a learner's file may never call it, which skips the test."""

    def __getitem__(self, index):
        if not self and not binding.is_reference(binding.bound()):
            pytest.skip("a tap that is never called")
        return super().__getitem__(index)


def error_of_the_reference(pattern: str) -> str | None:
    """What an error must say, unless a learner's file is tested, which words its own."""
    return pattern if binding.is_reference(binding.bound()) else None


def listen(module: nn.Module, tap: str) -> Heard:
    """The activations that pass a tap from now on; skips the test when there is no such tap."""
    if tap not in dict(module.named_modules()):
        pytest.skip(f"no tap {tap}")
    heard = Heard()
    module.get_submodule(tap).register_forward_hook(
        lambda _module, _inputs, activation: heard.append(activation.detach())
    )
    return heard
