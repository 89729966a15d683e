"""The training run: one loop for one process or several, its evaluation, its recipe."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gpt2_small import binding
from gpt2_small.errors import UserError
from gpt2_small.text.corpora import Corpus
from gpt2_small.text.simple_tokenizers import CharTokenizer
from gpt2_small.training.data import StoriesData, TextData
from gpt2_small.training.distributed import Processes
from gpt2_small.training.recipe import Recipe
from gpt2_small.training.run import Training, evaluate

ALONE = Processes(rank=0, world_size=1, device=torch.device("cpu"))
RECIPE = Recipe(
    max_steps=6, batch_size=4, learning_rate=1e-2, warmup_steps=2, evaluate_every=3, seed=3
)
SHAPE = dict(d_model=16, n_layers=2, n_heads=2, n_ctx=8)

# Two processes add up the same gradients in another order: float32 rounding, enlarged by AdamW's
# division in the first steps.
PROCESSES_TOLERANCE = 2e-5


def counting_text() -> TextData:
    ids = np.arange(600, dtype=np.uint16) % 7
    return TextData(Corpus("counting", CharTokenizer("abcdefg"), ids[:500], ids[500:]), n_ctx=8)


def small_model(solution, data=None, **changes):
    torch.manual_seed(0)
    d_vocab = 7 if data is None else data.tokenizer.vocab_size
    return solution.Transformer(
        solution.TransformerConfig(**{**SHAPE, "d_vocab": d_vocab, **changes})
    )


def test_the_loss_of_a_predictable_text_falls(solution):
    model = small_model(solution)
    data, recipe = counting_text(), replace(RECIPE, max_steps=60)
    records = list(Training(solution, model, data, recipe, ALONE).records())
    assert records[0].loss == pytest.approx(math.log(7), abs=0.1)
    assert records[-1].val_loss < 0.2


def test_a_record_is_made_for_every_step_and_evaluated_when_asked(solution):
    records = list(
        Training(solution, small_model(solution), counting_text(), RECIPE, ALONE).records()
    )
    assert [record.step for record in records] == [1, 2, 3, 4, 5, 6]
    assert [record.tokens for record in records] == [32, 64, 96, 128, 160, 192]
    assert [record.step for record in records if record.val_loss is not None] == [3, 6]
    assert "val_loss" not in records[0].as_json()


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(solution):
    def trained(seed):
        model = small_model(solution)
        recipe = replace(RECIPE, seed=seed)
        list(Training(solution, model, counting_text(), recipe, ALONE).records())
        return torch.cat([parameter.flatten() for parameter in model.parameters()])

    assert torch.equal(trained(1), trained(1))
    assert not torch.equal(trained(1), trained(2))


def test_evaluation_is_the_mean_over_all_held_out_targets(solution):
    model, data = small_model(solution).eval(), counting_text()
    total = count = 0.0
    for batch in data.held_out(batch_size=1, rank=0, world_size=1):
        targets = batch[:, 1:].numel()
        total += solution.next_token_loss(model(batch[:, :-1]), batch).item() * targets
        count += targets
    assert count == 99
    assert evaluate(solution, model, data, ALONE) == pytest.approx(total / count, abs=1e-5)


def test_evaluation_runs_without_dropout_and_leaves_the_mode(solution):
    model, data = small_model(solution, dropout=0.5).train(), counting_text()
    assert evaluate(solution, model, data, ALONE) == evaluate(solution, model, data, ALONE)
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
    list(Training(learners, small_model(learners), counting_text(), RECIPE, ALONE).records())
    assert learners.CALLS == [["max_grad_norm", "schedule"]]


def test_training_that_diverges_ends_with_a_sentence(solution):
    model = small_model(solution)
    with torch.no_grad():
        model.embed.W_E.fill_(math.inf)
    with pytest.raises(
        UserError, match=r"training stopped before step 1: the loss is nan .* lower learning rate"
    ):
        list(Training(solution, model, counting_text(), RECIPE, ALONE).records())


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
        ({"learning_rate": 0.0}, "--learning-rate is 0, with which nothing trains"),
        ({"weight_decay": math.inf}, "--weight-decay is inf; give a number of at least 0"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_with_its_value(change, sentence):
    with pytest.raises(UserError, match=sentence):
        replace(RECIPE, **change)


def test_windows_of_stories_begin_at_a_story_and_processes_share_them():
    data = StoriesData(n_ctx=32)
    whole = data.batch(seed=0, step=5, batch_size=6, rank=0, world_size=1)
    shares = [
        data.batch(seed=0, step=5, batch_size=6, rank=rank, world_size=3) for rank in range(3)
    ]
    assert torch.equal(torch.cat(shares), whole)
    assert set(whole[:, 0].tolist()) == {data.start_token}


TRAIN_AND_SAVE = """
import sys, torch
from pathlib import Path
from safetensors.torch import save_file
sys.path.insert(0, sys.argv[1])
from test_training_run import RECIPE, counting_text, small_model
from gpt2_small import binding
from gpt2_small.training.distributed import joined_processes
from gpt2_small.training.run import Training

with joined_processes("cpu") as processes:
    solution = binding.bound()
    model = small_model(solution)
    records = list(Training(solution, model, counting_text(), RECIPE, processes).records())
    losses = [record.loss for record in records] + [records[2].val_loss, records[5].val_loss]
    tensors = dict(model.named_parameters()) | {"losses": torch.tensor(losses)}
    tensors["world"] = torch.tensor(processes.world_size)
    save_file({k: v.detach() for k, v in tensors.items()}, f"{sys.argv[2]}/{processes.rank}.st")
"""


def test_two_processes_end_with_the_weights_and_losses_of_one(tmp_path):
    script = tmp_path / "train_and_save.py"
    script.write_text(TRAIN_AND_SAVE)
    here = Path(__file__).parent

    def trained(name, launcher):
        folder = tmp_path / name
        folder.mkdir()
        subprocess.run([*launcher, script, here, folder], check=True, timeout=120)
        return [load_file(file) for file in sorted(folder.glob("*.st"))]

    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    [one] = trained("one", [sys.executable])
    first, second = trained("two", [*torchrun, "--nproc-per-node", "2"])
    assert (one.pop("world"), first.pop("world"), second.pop("world")) == (1, 2, 2)
    for name, tensor in one.items():
        assert torch.equal(first[name], second[name]), name
        assert torch.allclose(first[name], tensor, rtol=0, atol=PROCESSES_TOLERANCE), name
