"""Test the training run: one loop for one process or several, its evaluation, its recipe."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from forked import the_forks
from safetensors.torch import load_file
from small_runs import SMALL, flags, logged, play

from gpt2_small import binding
from gpt2_small.data.shards import Shards
from gpt2_small.data.shards.token_sequence import TokenSequence
from gpt2_small.errors import UserError
from gpt2_small.tokenizers.simple import CharTokenizer
from gpt2_small.training.distributed import Processes
from gpt2_small.training.loop import Training
from gpt2_small.training.recipes.recipe import Recipe
from gpt2_small.training.training_data import StoriesData, TextData

ALONE = Processes(rank=0, world_size=1, device=torch.device("cpu"))
RECIPE = Recipe(
    max_steps=6, batch_size=4, learning_rate=1e-2, warmup_steps=2, evaluate_every=3, seed=3
)
SHAPE = dict(d_model=16, n_layers=2, n_heads=2, n_ctx=8)

# Two processes sum the same gradients in another order: float32 rounding, magnified by AdamW's
# division in the first steps. The keys' bias has a gradient of rounding errors only (it adds the
# same to all scores of a query), and no effect.
PROCESSES_TOLERANCE = 2e-5
WITHOUT_EFFECT = "attn.b_K"


def counting_text() -> TextData:
    ids = np.arange(600, dtype=np.uint16) % 7
    parts = [TokenSequence([part], ["counting"], 7) for part in (ids[:500], ids[500:])]
    return TextData(Shards("counting", CharTokenizer("abcdefg"), *parts), n_ctx=8)


def small_model(solution, data=None, **changes):
    torch.manual_seed(0)
    d_vocab = 7 if data is None else data.tokenizer.vocab_size
    return solution.Transformer(
        solution.TransformerConfig(**{**SHAPE, "d_vocab": d_vocab, **changes})
    )


def trained(solution, model, data, recipe, processes=ALONE):
    """Return a finished training, and the records of its steps."""
    training, records = Training(solution, model, data, recipe, processes), []
    while not training.is_done:
        records.append(training.advance())
    return training, records


def test_the_loss_of_a_predictable_text_falls(solution):
    model = small_model(solution)
    data, recipe = counting_text(), replace(RECIPE, max_steps=60)
    training, records = trained(solution, model, data, recipe)
    assert records[0].loss == pytest.approx(math.log(7), abs=0.1)
    assert training.evaluate() < 0.2


def test_a_record_is_made_for_every_step(solution):
    _, records = trained(solution, small_model(solution), counting_text(), RECIPE)
    assert [record.step for record in records] == [1, 2, 3, 4, 5, 6]
    assert [record.tokens for record in records] == [32, 64, 96, 128, 160, 192]
    assert "val_loss" not in records[0].as_json()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(solution):
    def weights(seed):
        model = small_model(solution)
        trained(solution, model, counting_text(), replace(RECIPE, seed=seed))
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_evaluation_is_the_mean_over_all_held_out_targets(solution):
    model, data = small_model(solution).eval(), counting_text()
    total = count = 0.0
    for batch in data.held_out(batch_size=1, rank=0, world_size=1):
        targets = batch[:, 1:].numel()
        total += solution.next_token_loss(model(batch[:, :-1]), batch).item() * targets
        count += targets
    assert count == 99
    training = Training(solution, model, data, RECIPE, ALONE)
    assert training.evaluate() == pytest.approx(total / count, abs=1e-5)


def test_evaluation_runs_without_dropout_and_restores_the_mode(solution):
    model, data = small_model(solution, dropout=0.5).train(), counting_text()
    training = Training(solution, model, data, RECIPE, ALONE)
    assert training.evaluate() == training.evaluate()
    assert model.training


NOTE_THE_KEYWORDS_OF_TRAIN = """
CALLS = []
_train = train
def train(*arguments, **keywords):
    CALLS.append(sorted(keywords))
    return _train(*arguments, **keywords)
"""


def test_a_learners_file_trains_through_its_own_functions(solution, tmp_path):
    file = tmp_path / "my_gpt2.py"
    file.write_text(binding.reference_path().read_text() + NOTE_THE_KEYWORDS_OF_TRAIN)
    learners = binding.load(file)
    trained(learners, small_model(learners), counting_text(), RECIPE)
    assert learners.CALLS == [["max_grad_norm", "schedule"]]


def test_a_diverging_training_ends_with_one_sentence(solution):
    model = small_model(solution)
    with torch.no_grad():
        model.embed.W_E.fill_(math.inf)
    with pytest.raises(
        UserError, match=r"training stopped before step 1: the loss is nan .* lower learning rate"
    ):
        trained(solution, model, counting_text(), RECIPE)


def test_a_batch_that_the_processes_cannot_share_is_refused(solution):
    three = Processes(rank=0, world_size=3, device=torch.device("cpu"))
    with pytest.raises(UserError, match="--batch-size is 4, which 3 processes cannot share"):
        Training(solution, small_model(solution), counting_text(), RECIPE, three)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"max_steps": 0}, "--max-steps is 0; give a whole number of at least 1"),
        ({"batch_size": -1}, "--batch-size is -1; give a whole number of at least 1"),
        ({"learning_rate": math.nan}, "--learning-rate is nan; give a number of at least 0"),
        ({"learning_rate": 0.0}, "--learning-rate is 0, which disables training"),
        ({"weight_decay": math.inf}, "--set weight_decay is inf; give a number of at least 0"),
    ],
)
def test_an_impossible_recipe_is_refused_with_its_value(change, sentence):
    with pytest.raises(UserError, match=sentence):
        replace(RECIPE, **change)


def test_windows_of_stories_begin_at_a_story_and_processes_share_them():
    data = StoriesData(n_ctx=32)
    joint_batch = data.batch(seed=0, step=5, batch_size=6, rank=0, world_size=1)
    shares = [
        data.batch(seed=0, step=5, batch_size=6, rank=rank, world_size=3) for rank in range(3)
    ]
    assert torch.equal(torch.cat(shares), joint_batch)
    assert set(joint_batch[:, 0].tolist()) == {data.start_token}


def test_two_processes_end_with_the_weights_and_losses_of_one(tmp_path):
    text = play(tmp_path)

    def ended(name, processes):
        run = tmp_path / name
        arguments = ["train", "--preset", "characters", "--data", text, "--out", run, *flags()]
        done = the_forks().run(*arguments, processes=processes)
        assert (done.code, done.err) == (0, "")
        weights = run / f"checkpoints/step-{SMALL.recipe.max_steps}/model.safetensors"
        losses = [
            [record["loss"], record.get("val_loss", 0.0), record["grad_norm"]]
            for record in logged(run)
        ]
        return load_file(weights), torch.tensor(losses)

    one, losses_of_one = ended("one", 0)
    two, losses_of_two = ended("two", 2)
    assert one.keys() == two.keys()
    apart = {name: (two[name] - tensor).abs().max().item() for name, tensor in one.items()}
    found = {name for name, largest in apart.items() if largest > PROCESSES_TOLERANCE}
    assert {name for name in found if not name.endswith(WITHOUT_EFFECT)} == set(), apart
    assert (losses_of_two - losses_of_one).abs().max() < PROCESSES_TOLERANCE
