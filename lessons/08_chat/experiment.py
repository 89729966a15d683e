"""Fine-tune a small stories model to answer, with and without the mask."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gpt2_small
from gpt2_small.stories.dialogues.dialogue_corpus import generate_dialogue, turns_of
from gpt2_small.stories.dialogues.dialogue_entropy import dialogue_floor
from gpt2_small.stories.dialogues.dialogue_judge import matches_request
from gpt2_small.stories.dialogues.dialogue_rules import ASSISTANT, END, USER
from gpt2_small.stories.dialogues.dialogue_tokenizer import DIALOGUE_WORDS
from gpt2_small.stories.stories_tokenizer import VOCABULARY
from gpt2_small.stories.story_texts import training_tokens

_FOLDER = Path(__file__).resolve().parent
small_models = gpt2_small.load(_FOLDER.parent / "small_models.py")
lesson = gpt2_small.load(_FOLDER / "reference.py")

SEEDS = (0, 1, 2)
N_CTX = 128
BASE_STEPS, STEPS, BATCH_SIZE, PEAK = 300, 250, 8, 5e-3
FLOOR = dialogue_floor()


class Words:
    """The tokenizer of the dialogues: one id per word, the stories' words first."""

    number = {word: id for id, word in enumerate(DIALOGUE_WORDS)}  # noqa: RUF012
    user, assistant, end = number[USER], number[ASSISTANT], number[END]

    def encode(self, text: str) -> list[int]:
        """Return ids of words that are separated by spaces."""
        return [self.number[word] for word in text.split()]

    def decode(self, ids: list[int]) -> str:
        """Return the words of ids."""
        return " ".join(DIALOGUE_WORDS[id] for id in ids)


words = Words()
STOPS = (words.end, words.user, words.assistant)


def dialogues(count: int, name: str) -> list[lesson.Turns]:  # type: ignore[name-defined]
    """Return dialogues as turns of role and text, drawn with a name as the seed."""
    rng = Random(name)
    return [
        [(role, " ".join(said)) for role, said in turns_of(generate_dialogue(rng))]
        for _ in range(count)
    ]


def base_model(seed: int, *, steps: int = BASE_STEPS, name: str = "") -> nn.Module:
    """Return a model of width 64 trained on stories only."""
    torch.manual_seed(seed)
    model: nn.Module = gpt2_small.Transformer(
        gpt2_small.TransformerConfig(
            d_model=64, n_layers=2, n_heads=4, n_ctx=N_CTX, d_vocab=len(VOCABULARY)
        )
    )
    small_models.train(
        model, training_tokens(0), steps=steps, seed=seed, n_ctx=N_CTX, batch_size=8, name=name
    )
    return model


def grown(base: nn.Module, seed: int, *, rows: str = "like the others") -> nn.Module:
    """Return the model with new rows for the words of questions and the two roles.

    rows: their initialisation: "like the others", or "small", with the standard deviation 0.02 of a
    fresh model.
    """
    generator = torch.Generator().manual_seed(seed)
    state = dict(base.state_dict())
    old, count = state["embed.W_E"], len(DIALOGUE_WORDS) - len(VOCABULARY)
    if rows == "like the others":
        state["embed.W_E"] = lesson.grow(old, count, generator=generator)
    else:
        drawn = 0.02 * torch.randn(count, old.shape[1], generator=generator)
        state["embed.W_E"] = torch.cat([old, drawn])
    fields = {field: getattr(base.config, field) for field in ("d_model", "n_layers", "n_heads")}
    config = gpt2_small.TransformerConfig(**fields, n_ctx=N_CTX, d_vocab=len(DIALOGUE_WORDS))
    model: nn.Module = gpt2_small.Transformer(config)
    model.load_state_dict(state)
    return model


def batches(seed: int, steps: int, *, is_masked: bool = True) -> Iterator[list[Tensor]]:
    """Return each step's batch of conversations [batch seq]; tokens except targets are ~token."""
    drawn = dialogues(steps * BATCH_SIZE, f"training {seed}")
    for step in range(steps):
        chosen = drawn[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]
        rendered = [lesson.render(turns, words) for turns in chosen]
        if not is_masked:
            rendered = [(ids, torch.ones_like(mask)) for ids, mask in rendered]
        tokens, is_target = lesson.batch_of(rendered)
        yield [torch.where(is_target, tokens, ~tokens)]


def loss_of_batch(model: nn.Module, batch: Tensor) -> Tensor:
    """Return the mean loss of a batch's targets."""
    tokens = torch.where(batch < 0, ~batch, batch)
    logits = model(tokens[:, :-1])
    loss: Tensor = lesson.masked_loss(F.pad(logits, (0, 0, 0, 1)), tokens, batch >= 0)
    return loss


def fine_tuned(
    model: nn.Module, seed: int, *, steps: int = STEPS, is_masked: bool = True, name: str = ""
) -> list[float]:
    """Train a model in place on dialogues, and return every step's loss."""
    groups = gpt2_small.parameter_groups(model, weight_decay=0.1)
    records = gpt2_small.train(
        model,
        batches(seed, steps, is_masked=is_masked),
        torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.98)),
        schedule=partial(
            gpt2_small.learning_rate, peak=PEAK, warmup_steps=min(15, steps), total_steps=steps
        ),
        loss=loss_of_batch,
    )
    progress, losses = small_models.TrainingProgress(name, steps), []
    for record in records:
        losses.append(record.loss)
        progress.show(record.step, f"loss {record.loss:.3f}")
    return losses


@torch.no_grad()
def answer_loss(model: nn.Module, count: int = 64) -> float:
    """Return the loss of held-out dialogues, in nats per target."""
    rendered = [lesson.render(turns, words) for turns in dialogues(count, "held out")]
    tokens, is_target = lesson.batch_of(rendered)
    return float(lesson.masked_loss(model.eval()(tokens[:, :N_CTX]), tokens, is_target))


def answers(model: nn.Module, count: int = 10) -> tuple[float, float, str]:
    """Return the shares of stories that end and that match the request, and the first story."""
    ended, as_asked, first = 0, 0, ""
    for turns in dialogues(count, "held out"):
        prompt, _ = lesson.render(turns[:1], words)
        prompt = torch.cat([prompt, torch.tensor([words.assistant])])
        said = lesson.reply(model, prompt, STOPS, 80)
        first = first or words.decode(said)
        ended += len(said) < 80
        as_asked += matches_request(turns[0][1].split(), words.decode(said).split())
    return ended / count, as_asked / count, first


def measure(seed: int) -> dict[str, float]:
    """Return the measurements of one seed."""
    base, found = base_model(seed), {}
    for rows in ("like the others", "small"):
        model = grown(base, seed, rows=rows)
        found[f"before, rows {rows}"] = answer_loss(model)
        if rows == "like the others":
            found["stories that end before"], found["as asked before"], _ = answers(model)
        fine_tuned(model, seed)
        found[f"after, rows {rows}"] = answer_loss(model)
        if rows == "like the others":
            found["stories that end"], found["as asked"], _ = answers(model, 20)
    model = grown(base, seed)
    fine_tuned(model, seed, is_masked=False)
    found["after, all tokens"] = answer_loss(model)
    model = grown(base_model(seed, steps=0), seed)
    fine_tuned(model, seed)
    found["after, no stories"] = answer_loss(model)
    return found
