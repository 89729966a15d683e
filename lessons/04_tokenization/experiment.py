"""Train small models to add, to reverse words and to spell, with tokens of several sizes."""

import re
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
from torch import Tensor, nn

import gpt2_small
from gpt2_small import binding
from gpt2_small.tokenizers.byte_pairs import BytePairTokenizer
from gpt2_small.training.step.masked_objective import MaskedObjective, tokens_and_mask

_FOLDER = Path(__file__).resolve().parent
small_models = gpt2_small.load(_FOLDER.parent / "small_models.py")
lesson = gpt2_small.load(_FOLDER / "reference.py")

SEEDS = (0, 1, 2)
BATCH_SIZE, PEAK = 64, 5e-3
SUM_STEPS, WORD_STEPS = 1000, 600
HELD_OUT = 1000
SUM_IDS, WORD_IDS = 300, (512, 4096)
LETTERS = "abcdefghijklmnopqrstuvwxyz"

Encode = Callable[[str], Sequence[int]]


class Task(NamedTuple):
    """Questions and answers as tokens [rows seq]; tokens other than targets are stored as ~token.

    d_vocab: number of ids.
    """

    train: Tensor
    held_out: Tensor
    d_vocab: int


def task(examples: Sequence[tuple[Sequence[int], Sequence[int]]]) -> Task:
    """Return ids of questions and answers, renumbered without unused ids.

    Each answer is followed by an end. The last HELD_OUT rows are held out.
    """
    used = sorted({id for question, answer in examples for id in (*question, *answer)})
    number = {id: place for place, id in enumerate(used)}
    end = len(used)
    width = max(len(question) + len(answer) for question, answer in examples) + 1
    rows = torch.full((len(examples), width), ~end)
    for row, (question, answer) in zip(rows, examples, strict=True):
        asked, length = len(question), len(question) + len(answer)
        row[:asked] = ~torch.tensor([number[id] for id in question])
        row[asked : length + 1] = torch.tensor([*(number[id] for id in answer), end])
    return Task(rows[:-HELD_OUT], rows[-HELD_OUT:], len(used) + 1)


@cache
def sums() -> list[tuple[str, str]]:
    """Return all sums of two numbers below 100, such as ("27+58=", "85"), in random order."""
    found = [(f"{a}+{b}=", str(a + b)) for a in range(100) for b in range(100)]
    Random(0).shuffle(found)
    return found


@cache
def sum_merges() -> list[tuple[int, int]]:
    """Return byte pairs learned from the training sums."""
    text = "\n".join(question + answer for question, answer in sums()[:-HELD_OUT])
    merges: list[tuple[int, int]] = lesson.train_bpe(text, SUM_IDS)
    return merges


@cache
def addition(ids: int) -> Task:
    """Return the addition task by characters (ids 0) or byte pairs (SUM_IDS)."""
    merges = sum_merges() if ids else []
    encode = partial(lesson.encode, merges=merges)
    return task([(encode(question), encode(answer)) for question, answer in sums()])


@cache
def words() -> list[str]:
    """Return tiny Shakespeare's distinct words of 3 to 8 lower-case letters, in random order."""
    text = (_FOLDER.parent / "tiny_shakespeare.txt").read_text(encoding="utf-8")
    found = sorted(set(re.findall(r"\b[a-z]{3,8}\b", text)))
    Random(0).shuffle(found)
    return found


@cache
def tokenizer(ids: int) -> BytePairTokenizer:
    """Return byte pairs of tiny Shakespeare."""
    text = (_FOLDER.parent / "tiny_shakespeare.txt").read_text(encoding="utf-8")
    return BytePairTokenizer.train(text, ids)


@cache
def letters_of_words(ids: int, *, is_reversed: bool) -> Task:
    """Return the task of spelling a word forwards or backwards.

    ids: of the tokenizer that encodes the word; 0 for characters. The answer is in letters.
    """
    colon, first = -1, -1 - len(LETTERS)
    letter = {each: first + place for place, each in enumerate(LETTERS)}
    examples = []
    for word in words():
        question = tokenizer(ids).encode(f" {word}") if ids else [letter[each] for each in word]
        answer = [letter[each] for each in (word[::-1] if is_reversed else word)]
        examples.append(([*question, colon], answer))
    return task(examples)


def trained(task: Task, seed: int, *, steps: int, name: str = "") -> tuple[nn.Module, list[float]]:
    """Train a model of two layers of width 64; return it and the mean target loss of each step."""
    torch.manual_seed(seed)
    config = gpt2_small.TransformerConfig(
        d_model=64, n_layers=2, n_heads=4, n_ctx=task.train.shape[1], d_vocab=task.d_vocab
    )
    model: nn.Module = gpt2_small.Transformer(config)
    objective = MaskedObjective(binding.bound(), model, small_models.CPU)

    def loss(module: nn.Module, batch: Tensor) -> Tensor:
        objective.begin_step([batch], objective.targets(batch), world_size=1)
        return objective.loss(module, batch)

    generator = torch.Generator().manual_seed(seed)
    records = gpt2_small.train(
        objective.module,
        ([batch(task.train, generator)] for _ in range(steps)),
        torch.optim.AdamW(
            gpt2_small.parameter_groups(model, weight_decay=0.1),
            lr=PEAK,
            betas=(0.9, 0.98),
            fused=True,
        ),
        schedule=partial(gpt2_small.learning_rate, peak=PEAK, warmup_steps=50, total_steps=steps),
        loss=loss,
    )
    progress, losses = small_models.TrainingProgress(name, steps), []
    for record in records:
        losses.append(record.loss)
        progress.show(record.step, f"loss {record.loss:.3f}")
    return model.eval(), losses


def batch(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Return rows drawn with replacement."""
    return rows[torch.randint(len(rows), (BATCH_SIZE,), generator=generator)]


@torch.no_grad()
def accuracy(model: nn.Module, rows: Tensor) -> float:
    """Return the share of answers whose every token is the most likely one given the previous."""
    tokens, is_target = tokens_and_mask(rows)
    is_right = model(tokens[:, :-1]).argmax(dim=-1) == tokens[:, 1:]
    return (is_right | ~is_target[:, 1:]).all(dim=1).double().mean().item()


def measure(seed: int) -> dict[str, float]:
    """Return one seed's measurements: the shares of right answers to held-out questions."""
    found = {}
    for ids in (0, SUM_IDS):
        sums_task = addition(ids)
        model, _ = trained(sums_task, seed, steps=SUM_STEPS)
        found[f"adding, {tokens_of(ids)}"] = accuracy(model, sums_task.held_out)
    for what in ("reversing", "spelling"):
        for ids in (0, *WORD_IDS):
            words_task = letters_of_words(ids, is_reversed=what == "reversing")
            model, _ = trained(words_task, seed, steps=WORD_STEPS)
            found[f"{what}, {tokens_of(ids)}"] = accuracy(model, words_task.held_out)
    return found


def tokens_of(ids: int) -> str:
    """Describe a tokenizer in words."""
    return f"{ids} ids" if ids else "characters"
