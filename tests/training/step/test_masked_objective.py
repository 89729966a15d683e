"""Test the masked loss: one gradient for any division, and only targets learned."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import paths_of_tests, run_python
from torch import Tensor, nn

from gpt2_small import binding
from gpt2_small.training.step import masked_objective
from gpt2_small.training.step.masked_objective import MaskedObjective, tokens_and_mask
from gpt2_small.training.step.objective import Objective

SOLUTION = binding.bound()
EXACT = 1e-12
"""Rounding of float64 sums in another order."""


def model(**changes: Any) -> nn.Module:
    torch.manual_seed(0)
    sizes = {"d_model": 16, "n_layers": 2, "n_heads": 2, "n_ctx": 24, "d_vocab": 29}
    made: nn.Module = SOLUTION.Transformer(SOLUTION.TransformerConfig(**(sizes | changes)))
    return made.double()


class Plain(nn.Module):
    """A model other than the reference's, as in a learner's file."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.config = inner.config

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.inner(tokens)
        return logits


def conversations(seed: int = 0) -> list[Tensor]:
    """Return masked rows of several lengths, whose numbers of targets differ by a factor of 20."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(8):
        tokens = torch.randint(29, (6 + 2 * number,), generator=generator)
        is_target = torch.rand(len(tokens), generator=generator) < 0.05 + 0.13 * number
        is_target[0], is_target[-1] = False, True
        rows.append(torch.where(is_target, tokens, ~tokens))
    return rows


def padded(rows: Sequence[Tensor], length: int | None = None) -> Tensor:
    length = length or max(map(len, rows))
    batch = torch.full((len(rows), length), ~0)
    for row, tokens in zip(batch, rows, strict=True):
        row[: len(tokens)] = tokens
    return batch


def expected(trained: nn.Module, rows: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
    """Return mean loss over all targets and gradient, row by row, without padding or batches."""
    total, targets = torch.zeros((), dtype=torch.float64), 0
    for row in rows:
        tokens, is_target = tokens_and_mask(row)
        log_probs = trained(tokens[None, :-1])[0].log_softmax(dim=-1)
        chosen = is_target[1:].nonzero().flatten()
        total = total - log_probs[chosen, tokens[1:][chosen]].sum()
        targets += len(chosen)
    gradients = torch.autograd.grad(total / targets, list(trained.parameters()))
    return float(total.detach() / targets), list(gradients)


class Recorded(torch.optim.SGD):
    """An optimiser that records its gradient and updates nothing."""

    gradients: list[Tensor]

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.gradients = [each.grad.clone() for each in self.param_groups[0]["params"]]


def stepped(
    trained: nn.Module,
    batches: Sequence[Tensor],
    targets: int,
    *,
    world_size: int = 1,
    kind: type[MaskedObjective] = MaskedObjective,
) -> tuple[float, list[Tensor]]:
    """Return the loss and the gradient of one of the solution's steps."""
    objective = kind(SOLUTION, trained, torch.device("cpu"))
    objective.begin_step(batches, targets, world_size)
    optimizer = Recorded(trained.parameters(), lr=1.0)
    result = SOLUTION.train_step(
        objective.module, batches, optimizer, max_grad_norm=math.inf, **objective.train_keywords
    )
    return result.loss, optimizer.gradients


def targets_of(rows: Sequence[Tensor]) -> int:
    return sum(int((row[1:] >= 0).sum()) for row in rows)


def assert_same(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=EXACT, atol=EXACT)


DIVISIONS = ([8], [4, 4], [1] * 8, [5, 2, 1], [1, 7])


@pytest.mark.parametrize("is_twin", [True, False])
@pytest.mark.parametrize("division", DIVISIONS)
def test_the_gradient_is_the_same_for_any_division_into_micro_batches(
    division: list[int], is_twin: bool
) -> None:
    rows = conversations()
    trained = model() if is_twin else Plain(model())
    batches = [padded(part) for part in split(rows, division)]
    loss, gradients = stepped(trained, batches, targets_of(rows))
    wanted, wanted_gradients = expected(trained, rows)
    assert loss == pytest.approx(wanted, rel=EXACT)
    assert_same(gradients, wanted_gradients)


def split(rows: list[Tensor], division: list[int]) -> list[list[Tensor]]:
    ends = [sum(division[: place + 1]) for place in range(len(division))]
    return [rows[end - size : end] for end, size in zip(ends, division, strict=True)]


@pytest.mark.parametrize("division", [([4], [4]), ([1, 1], [6]), ([2, 2], [3, 1])])
def test_the_mean_gradient_over_processes_equals_that_of_one(
    division: tuple[list[int], list[int]],
) -> None:
    rows, trained = conversations(), model()
    first = sum(division[0])
    shares = [split(rows[:first], division[0]), split(rows[first:], division[1])]
    results = [
        stepped(trained, [*map(padded, share)], targets_of(rows), world_size=2) for share in shares
    ]
    wanted, wanted_gradients = expected(trained, rows)
    mean = [(one + other) / 2 for one, other in zip(results[0][1], results[1][1], strict=True)]
    assert_same(mean, wanted_gradients)
    assert (results[0][0] + results[1][0]) / 2 == pytest.approx(wanted, rel=EXACT)


TWO_PROCESSES = """
import sys, torch, torch.distributed as dist, torch.multiprocessing as mp
sys.path[:0] = {paths!r}
import test_masked_objective as t

def work(rank, port):
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{{port}}", world_size=2, rank=rank)
    rows, trained = t.conversations(), t.model()
    shares = [t.split(rows[:3], [2, 1]), t.split(rows[3:], [1, 4])]
    objective = t.MaskedObjective(t.SOLUTION, trained, torch.device("cpu"))
    batches = [*map(t.padded, shares[rank])]
    objective.begin_step(batches, t.targets_of(rows), 2)
    optimizer = t.Recorded(trained.parameters(), lr=1.0)
    parallel = torch.nn.parallel.DistributedDataParallel(objective.module)
    given = dict(max_grad_norm=1e9, **objective.train_keywords)
    t.SOLUTION.train_step(parallel, batches, optimizer, **given)
    t.assert_same(optimizer.gradients, t.expected(trained, rows)[1])
    print("same", flush=True)
    dist.destroy_process_group()

if __name__ == "__main__":
    import socket
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.start_processes(work, (port,), nprocs=2, start_method="fork")
"""


@pytest.mark.slow
def test_two_processes_give_the_gradient_of_one(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(TWO_PROCESSES.format(paths=paths_of_tests()))
    result = run_python(program, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("same") == 2


def test_a_mean_of_means_is_detected() -> None:
    class MeanOfMeans(MaskedObjective):
        def loss(self, module: nn.Module, batch: Tensor) -> Tensor:
            return self._summed(module, batch) / self.targets(batch)

    rows, trained = conversations(), model()
    batches = [padded(part) for part in split(rows, [4, 4])]
    _, wanted = expected(trained, rows)
    _, gradients = stepped(trained, batches, targets_of(rows), kind=MeanOfMeans)
    with pytest.raises(AssertionError):
        assert_same(gradients, wanted)


def test_targets_shifted_by_one_are_detected() -> None:
    class Shifted(MaskedObjective):
        def _summed(self, module: nn.Module, batch: Tensor) -> Tensor:
            tokens, is_target = tokens_and_mask(batch)
            return super()._summed(module, torch.where(is_target.roll(1, dims=1), tokens, ~tokens))

    rows, trained = conversations(), model()
    _, wanted = expected(trained, rows)
    _, gradients = stepped(trained, [padded(rows)], targets_of(rows), kind=Shifted)
    with pytest.raises(AssertionError):
        assert_same(gradients, wanted)


def test_padding_does_not_change_loss_or_gradient() -> None:
    rows, trained = conversations(), model()
    _, wanted = stepped(trained, [padded(rows)], targets_of(rows))
    _, gradients = stepped(trained, [padded(rows, 25)], targets_of(rows))
    assert_same(gradients, wanted)


def test_only_targets_are_trained() -> None:
    """The logits after the last target get no gradient, whatever the tokens there are."""
    trained = model()
    row = torch.tensor([~3, ~4, 5, ~6, ~7])
    other = torch.tensor([~3, ~4, 5, ~20, ~21])
    _, one = stepped(trained, [padded([row])], 1)
    _, two = stepped(trained, [padded([other])], 1)
    assert_same(one, two)


@pytest.mark.parametrize("tied", [True, False])
def test_the_twin_and_the_model_give_the_same_loss(tied: bool) -> None:
    rows, trained = conversations(), model(tied_embeddings=tied)
    batch = padded(rows)
    losses = []
    for module in (trained, Plain(trained)):
        objective = MaskedObjective(SOLUTION, module, torch.device("cpu"))
        objective.begin_step([batch], targets_of(rows), 1)
        losses.append(float(objective.loss(objective.module, batch).detach()))
    assert losses[0] == pytest.approx(losses[1], rel=EXACT)


def test_a_learners_model_is_trained_with_the_references_step(tmp_path: Path) -> None:
    copy = tmp_path / "my_gpt2.py"
    copy.write_text(binding.reference_path().read_text())
    learners = binding.load(copy)
    objective = MaskedObjective(learners, Plain(model()), torch.device("cpu"))
    assert objective.stepped_by.__file__ == str(binding.reference_path())
    assert Objective(learners, Plain(model()), torch.device("cpu")).stepped_by is learners


def test_targets_are_counted_without_the_first_column() -> None:
    objective = MaskedObjective(SOLUTION, model(), torch.device("cpu"))
    assert objective.targets(torch.tensor([[1, 2, ~3], [~1, ~2, 3]])) == 2
    assert masked_objective.tokens_and_mask(torch.tensor([[~0, 4]]))[0].tolist() == [[0, 4]]
