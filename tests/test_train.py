"""train: a training step for every list of micro-batches, and a record of each."""

import contextlib
import dataclasses
import io
import itertools
import math
from dataclasses import replace

import pytest
import torch
from bigram import Bigram, adamw, torchs_step, twins, weights, windows
from strategies import SMALL

pytestmark = pytest.mark.component("train")


def constant(_step):
    return 0.05


def some_steps(count):
    return [windows(number, (2, 5), (number + 1, 4)) for number in range(count)]


def test_every_step_is_torchs_own_at_the_rate_of_the_schedule(solution):
    ours, our_optimizer, theirs, their_optimizer = twins()
    rates = [0.1, 0.02, 0.3, 0.0]
    steps = some_steps(4)
    records = list(solution.train(ours, steps, our_optimizer, schedule=rates.__getitem__))
    for record, rate, batches in zip(records, rates, steps, strict=True):
        their_optimizer.param_groups[0]["lr"] = rate
        loss, norm = torchs_step(theirs, batches, their_optimizer)
        assert record.loss == pytest.approx(loss, rel=1e-5)
        assert record.grad_norm == pytest.approx(norm, rel=1e-5)
    assert torch.allclose(weights(ours), weights(theirs), rtol=1e-5, atol=1e-5)


def test_records_count_from_one_and_tokens_add_up(solution):
    model, steps = Bigram(), some_steps(4)
    records = list(solution.train(model, steps, adamw(model), schedule=constant))
    assert [record.step for record in records] == [1, 2, 3, 4]
    targets = [sum(batch[:, 1:].numel() for batch in batches) for batches in steps]
    assert [record.tokens for record in records] == list(itertools.accumulate(targets))


def test_the_schedule_is_asked_for_every_step_once_from_zero(solution):
    model, asked = Bigram(), []

    def schedule(step):
        asked.append(step)
        return 0.5 ** (step + 1)

    records = list(solution.train(model, some_steps(3), adamw(model), schedule=schedule))
    assert asked == [0, 1, 2]
    assert [record.learning_rate for record in records] == [0.5, 0.25, 0.125]


def test_every_group_of_the_optimiser_gets_the_rate(solution):
    model = Bigram()
    optimizer = torch.optim.SGD([{"params": [model.W]}, {"params": [model.b]}], lr=9.0)
    for record in solution.train(model, some_steps(3), optimizer, schedule=lambda s: 0.1 + s):
        assert {group["lr"] for group in optimizer.param_groups} == {record.learning_rate}


def test_a_record_is_plain_numbers_and_does_not_change(solution):
    model = Bigram()
    (record,) = solution.train(model, some_steps(1), adamw(model), schedule=constant)
    assert isinstance(record, solution.TrainRecord)
    kinds = {field: type(value) for field, value in dataclasses.asdict(record).items()}
    assert kinds == {
        "step": int,
        "loss": float,
        "grad_norm": float,
        "learning_rate": float,
        "tokens": int,
    }
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.loss = 0.0


def test_nothing_is_read_or_trained_before_it_is_asked_for(solution):
    model, read = Bigram(), []

    def steps():
        for number in itertools.count():
            read.append(number)
            yield windows(number, (2, 5))

    before = weights(model)
    records = solution.train(model, steps(), adamw(model), schedule=constant)
    assert read == []
    assert torch.equal(weights(model), before)
    for number in range(3):
        next(records)
        assert read == list(range(number + 1))
        assert not torch.equal(weights(model), before)
        before = weights(model)


def test_no_steps_give_no_records_and_change_nothing(solution):
    model = Bigram()
    before = weights(model)
    assert list(solution.train(model, [], adamw(model), schedule=constant)) == []
    assert torch.equal(weights(model), before)


def test_it_prints_nothing(solution):
    model, out, err = Bigram(), io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        list(solution.train(model, some_steps(3), adamw(model), schedule=constant))
    assert (out.getvalue(), err.getvalue()) == ("", "")


def test_a_step_trains_in_training_mode_also_after_the_caller_has_evaluated(solution):
    model = Bigram().eval()
    for _ in solution.train(model, some_steps(3), adamw(model), schedule=constant):
        model.eval()
    assert model.modes
    assert all(model.modes)


def test_the_limit_of_the_gradient_reaches_every_step(solution):
    model = Bigram()
    before = weights(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    list(
        solution.train(model, some_steps(1), optimizer, schedule=lambda _: 1.0, max_grad_norm=0.01)
    )
    assert (weights(model) - before).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_a_loss_that_is_not_finite_stops_the_training_and_leaves_the_weights(solution):
    model = Bigram()
    records = solution.train(model, some_steps(3), adamw(model), schedule=constant)
    next(records)
    model.W.data[:] = math.inf
    with pytest.raises(FloatingPointError):
        next(records)
    assert model.b.isfinite().all()


def test_a_transformer_learns_what_follows_what(solution):
    """Counting around a circle of five tokens, from a first token that cannot be known."""
    case = replace(SMALL, d_vocab=5, n_ctx=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = solution.Transformer(case.config(solution))
    generator = torch.Generator().manual_seed(1)

    def steps(count):
        for _ in range(count):
            starts = torch.randint(5, (8, 1), generator=generator)
            yield [(starts + torch.arange(9)) % 5]

    optimizer = torch.optim.AdamW(solution.parameter_groups(model, weight_decay=0.1), lr=0.0)
    records = list(solution.train(model, steps(60), optimizer, schedule=lambda _: 0.01))
    assert records[0].loss == pytest.approx(math.log(5), abs=0.2)
    assert records[-1].loss < 0.1


def test_a_transformer_does_not_learn_what_cannot_be_known(solution):
    """Fresh random tokens: a mean loss below their entropy would mean that it sees the future."""
    case = replace(SMALL, d_vocab=5, n_ctx=8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = solution.Transformer(case.config(solution))
    generator = torch.Generator().manual_seed(1)
    steps = ([torch.randint(5, (32, 9), generator=generator)] for _ in range(60))
    optimizer = torch.optim.AdamW(solution.parameter_groups(model, weight_decay=0.1), lr=0.0)
    records = list(solution.train(model, steps, optimizer, schedule=lambda _: 0.01))
    last = [record.loss for record in records[-20:]]
    assert abs(sum(last) / len(last) - math.log(5)) < 0.05
