"""Test training on conversations: from other weights, in epochs, resumed, by two processes."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from chat_runs import CHAT, chat_run
from forked import the_forks
from rich.console import Console
from small_runs import ALONE, SMALL, logged, state_at

from gpt2_small import binding
from gpt2_small.data.conversations.chat_folder import open_chats
from gpt2_small.data.conversations.prepare_chats import ChatOptions, prepare_chats
from gpt2_small.evaluation.evaluation_texts import open_texts
from gpt2_small.evaluation.text_scores import score_documents
from gpt2_small.generation import Chat, SamplingOptions, open_model
from gpt2_small.runs import load_model, read_log, read_run
from gpt2_small.training.chat_data import open_chat_data
from gpt2_small.training.display.chat_samples import judged_dialogues, loss_by_turn
from gpt2_small.training.display.overview import print_plan
from gpt2_small.training.recipes.recipe import Recipe, in_steps
from gpt2_small.training.session import open_run

SOLUTION = binding.bound()


def test_the_vocabulary_grows_by_the_roles_and_the_old_weights_are_unchanged(
    place: Path, tmp_path: Path
) -> None:
    with open_run(
        SOLUTION,
        tmp_path / "run",
        CHAT,
        {"data": str(place / "chats"), "init_from": str(place / "base"), "n_ctx": 48},
        ALONE,
    ) as run:
        model = run.training.model
        base = load_model(place / "base")
        assert (model.config.d_vocab, model.config.n_ctx) == (259, 48)
        tokens = torch.randint(257, (2, 40))
        torch.testing.assert_close(model(tokens)[..., :257], base(tokens))
        assert model.unembed is None


def test_the_log_counts_targets(place: Path, tmp_path: Path) -> None:
    run = chat_run(place, tmp_path / "run")
    chats = open_chats(place / "chats").train
    per_conversation = chats.is_target.sum() / len(chats)
    log = read_log(tmp_path / "run")
    assert log[-1]["tokens"] == run.training.tokens
    assert log[-1]["tokens"] == pytest.approx(8 * 4 * per_conversation, rel=0.3)
    assert log[-1]["tokens"] < 8 * 4 * 40
    assert log[-1]["val_loss"] < log[0]["loss"]


def test_the_held_out_loss_is_the_mean_over_targets(place: Path, tmp_path: Path) -> None:
    run = chat_run(place, tmp_path / "run")
    total = targets = 0.0
    chats = open_chats(place / "chats").val
    for number in range(len(chats)):
        ids, is_target = chats.conversation(number)
        tokens = torch.from_numpy(ids.astype("int64"))
        log_probs = run.training.model(tokens[None, :-1])[0].log_softmax(dim=-1)
        chosen = torch.from_numpy(is_target[1:].nonzero()[0])
        total -= float(log_probs[chosen, tokens[1:][chosen]].sum().detach())
        targets += len(chosen)
    assert run.training.evaluate() == pytest.approx(total / targets, rel=1e-5)
    by_turn = loss_by_turn(run.training)
    assert sum(loss * count for loss, count in by_turn.values()) / sum(
        count for _, count in by_turn.values()
    ) == pytest.approx(total / targets, rel=1e-5)


def test_a_resumed_chat_run_ends_with_the_same_bits(place: Path, tmp_path: Path) -> None:
    chat_run(place, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "parts")
    shutil.rmtree(tmp_path / "parts/checkpoints/step-8")
    (tmp_path / "parts/last_checkpoint.json").unlink()
    log = tmp_path / "parts/log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:4]))
    chat_run(place, tmp_path / "parts", None, resume=True)
    assert state_at(tmp_path / "parts", 8) == state_at(tmp_path / "whole", 8)
    assert logged(tmp_path / "parts") == logged(tmp_path / "whole")


def test_micro_batches_change_nothing_but_rounding(place: Path, tmp_path: Path) -> None:
    losses = []
    for size in (4, 1):
        chat_run(place, tmp_path / f"{size}", micro_batch_size=size)
        losses.append([record["loss"] for record in read_log(tmp_path / f"{size}")])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes_train_as_one(place: Path, tmp_path: Path) -> None:
    losses = []
    for processes in (0, 2):
        folder = tmp_path / str(processes)
        fork = the_forks().run(
            *["train", "--preset", "chat-stories", "--data", place / "chats", "--out", folder],
            *["--init-from", place / "base", "--batch-size", 4, "--max-steps", 3],
            *["--set", "n_ctx=40", "--set", "warmup_steps=1"],
            processes=processes,
        )
        assert (fork.code, fork.err) == (0, "")
        losses.append([record["loss"] for record in read_log(folder)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_training_with_bfloat16_matmul_uses_targets_only(place: Path, tmp_path: Path) -> None:
    chat_run(place, tmp_path / "full", max_steps=2)
    chat_run(place, tmp_path / "low", max_steps=2, dtype="bfloat16")
    losses = [[each["loss"] for each in read_log(tmp_path / name)] for name in ("full", "low")]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]


def test_a_trained_chat_model_answers(place: Path, tmp_path: Path) -> None:
    chat_run(place, tmp_path / "run")
    loaded = open_model(tmp_path / "run")
    reply = Chat(SOLUTION, loaded, SamplingOptions(max_new_tokens=5)).reply("question 3")
    assert 0 < len(list(reply)) <= 5


def test_epochs_are_converted_to_steps_with_a_warm_up_and_a_checkpoint_each(
    place: Path, tmp_path: Path
) -> None:
    recipe = in_steps(Recipe(max_steps=1, batch_size=32, learning_rate=1.0, epochs=5), 1000)
    assert (recipe.max_steps, recipe.warmup_steps) == (157, 5)
    assert recipe.evaluate_every == recipe.checkpoint_every == 32
    preset = replace(CHAT, recipe=replace(CHAT.recipe, epochs=2, learning_rate=1e-3))
    run = chat_run(place, tmp_path / "run", preset)
    count = len(open_chats(place / "chats").train)
    assert run.training.step == -(-2 * count // 4)
    assert read_run(tmp_path / "run").settings["epochs"] == 2
    chat_run(place, tmp_path / "run", preset, resume=True)


def test_evaluating_the_conversations_gives_the_held_out_loss_of_training(
    place: Path, tmp_path: Path
) -> None:
    chat_run(place, tmp_path / "run", max_steps=2)
    loaded = open_model(tmp_path / "run")
    texts = open_texts(place / "chats", loaded.tokenizer)
    score = score_documents(loaded.model, texts.documents, loaded.tokenizer)
    val = open_chats(place / "chats").val
    assert score.nats_per_token == pytest.approx(read_log(tmp_path / "run")[-1]["val_loss"])
    assert score.tokens == val.is_target.sum()
    targets = val.ids[val.is_target == 1].tolist()
    assert score.bytes == len(loaded.tokenizer.decode_bytes([id for id in targets if id < 256]))


def test_evaluation_can_use_part_of_the_held_out_conversations(place: Path) -> None:
    all_data = open_chat_data(str(place / "chats"), 64)
    part = open_chat_data(str(place / "chats"), 64, held_out_tokens=60)
    rows = [
        sum(len(batch) for batch in data.held_out(batch_size=8, rank=0, world_size=1))
        for data in (all_data, part)
    ]
    assert 0 < rows[1] < rows[0]


def test_a_chat_run_is_judged_during_training(tmp_path: Path) -> None:
    prepare_chats("dialogues", tmp_path / "chats", ChatOptions(limit=60, validation_share=0.3))
    preset = replace(SMALL, recipe=replace(SMALL.recipe, max_steps=1))
    changes = {"data": str(tmp_path / "chats"), "n_ctx": 128}
    with open_run(SOLUTION, tmp_path / "run", preset, changes, ALONE) as run:
        judgement = judged_dialogues(run.training, 5)
    assert judgement.parsed.total == 5
    assert judgement.exact.total >= 10


def test_the_screen_says_when_a_learners_model_is_trained_by_the_references_step(
    place: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "my_gpt2.py"
    copy.write_text(binding.reference_path().read_text())
    changes = {"data": str(place / "chats"), "init_from": str(place / "base")}
    console = Console(record=True, width=80, file=io.StringIO())
    with open_run(binding.load(copy), tmp_path / "run", CHAT, changes, ALONE) as run:
        print_plan(run, console, "Training")
        record = run.training.advance()
    assert "its model, with the reference's training step" in console.export_text()
    assert record.step == 1
