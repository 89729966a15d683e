"""Train the same small model with other schedules, seeds and tokenizers, and measure each."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

import gpt2_small
from gpt2_small import binding
from gpt2_small.checker.mistakes.costs import measured_costs
from gpt2_small.checker.mistakes.edited_reference import edited_text
from gpt2_small.checker.mistakes.mistake import find
from gpt2_small.evaluation.continuation_scores import ContinuationScorer
from gpt2_small.stories.choice_questions import story_questions
from gpt2_small.stories.entropy import entropy_per_token
from gpt2_small.stories.stories_tokenizer import StoriesTokenizer
from gpt2_small.stories.story_texts import stories_windows
from gpt2_small.tokenizers.byte_pairs import BytePairTokenizer

_FOLDER = Path(__file__).resolve().parent
small_models = gpt2_small.load(_FOLDER.parent / "small_models.py")
lesson = gpt2_small.load(_FOLDER / "reference.py")

SEEDS = (0, 1, 2)
N_CTX, STEPS, BATCH_SIZE, PEAK, WARMUP = 72, 150, 8, 5e-3, 15
FLOOR = entropy_per_token(N_CTX)

Schedule = Callable[[int], float]


def cosine(peak: float = PEAK, warmup: int = WARMUP, steps: int = STEPS) -> Schedule:
    """Return the parts' schedule: a warm-up, then a cosine down to a tenth."""
    return partial(gpt2_small.learning_rate, peak=peak, warmup_steps=warmup, total_steps=steps)


SCHEDULES: Mapping[str, Schedule] = {
    "cosine": cosine(),
    "constant": lambda step: PEAK * min((step + 1) / WARMUP, 1),
    "trapezoid": partial(
        lesson.trapezoid,
        peak=PEAK,
        warmup_steps=WARMUP,
        decay_steps=STEPS // 4,
        total_steps=STEPS,
    ),
    "4 times the rate": cosine(4 * PEAK),
    "4 times the rate, without warm-up": cosine(4 * PEAK, 0),
}


LONGER = cosine(4 * PEAK, steps=2 * STEPS)


def new_model(seed: int, solution: ModuleType | None = None) -> nn.Module:
    """Return a fresh GPT-2 of width 64 with two layers for the stories' words."""
    solution = solution or binding.bound()
    torch.manual_seed(seed)
    config = solution.TransformerConfig(
        d_model=64, n_layers=2, n_heads=4, n_ctx=N_CTX, d_vocab=StoriesTokenizer.vocab_size
    )
    model: nn.Module = solution.Transformer(config)
    return model


@cache
def windows(seed: int, step: int) -> Tensor:
    """Return a step's windows: text and their order depend only on seed and step."""
    return stories_windows(0, step, BATCH_SIZE, N_CTX, order_seed=seed + 1)


def trained(
    seed: int,
    schedule: Schedule = SCHEDULES["cosine"],
    *,
    steps: int = STEPS,
    micro_batches: int = 1,
    solution: ModuleType | None = None,
    name: str = "",
) -> tuple[nn.Module, list[float]]:
    """Return a model trained on stories, and every step's loss.

    micro_batches: of each step, whose gradients are accumulated.
    solution: trains its model; by default the bound one's.
    """
    model = new_model(seed, solution)
    groups = gpt2_small.parameter_groups(model, weight_decay=0.1)
    records = gpt2_small.train(
        model,
        (windows(seed, step).chunk(micro_batches) for step in range(steps)),
        torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.98)),
        schedule=schedule,
    )
    progress, losses = small_models.TrainingProgress(name, steps), []
    for record in records:
        losses.append(record.loss)
        progress.show(record.step, f"loss {record.loss:.3f}")
    return model.eval(), losses


def without_mask() -> ModuleType:
    """Return the reference with a known mistake: attention sees the future."""
    text = edited_text(find("attention-mask-missing"))
    return binding.execute(text.encode(), Path("<without the mask>"), "solution_without_mask")


# Mistakes from the checker's catalogue, from the least to the most visible in a loss.
MISTAKES = {
    "exact GELU": "mlp-exact-gelu",
    "unbiased variance": "layer-norm-unbiased-variance",
    "positions backwards": "positional-embedding-backwards",
    "norms after the sums": "block-post-norm",
    "scale of sqrt(d_model)": "attention-scale-d-model",
    "no sum around attention": "block-attention-residual-missing",
    "no mask": "attention-mask-missing",
}


def costs_of_mistakes() -> tuple[dict[str, float], tuple[float, ...]]:
    """Return final losses with each of MISTAKES and with none, in percent above the floor.

    `python benchmarks/mistake_costs.py` measured them.
    """
    costs = measured_costs()
    found = {name: costs.mistakes[id].above_floor for name, id in MISTAKES.items()}
    return {name: cost for name, cost in found.items() if cost is not None}, costs.right["tied"]


@cache
def held_out() -> Tensor:
    """Return 256 windows of stories that no run trains on."""
    return torch.cat([stories_windows(0, n, 64, N_CTX, validation=True) for n in range(4)])


@torch.no_grad()
def above_floor(model: nn.Module) -> float:
    """Return the held-out loss divided by the stories' entropy, less 1: 0 is the floor."""
    batch = held_out()
    loss = gpt2_small.next_token_loss(model(batch[:, :-1]), batch)
    return float(loss) / FLOOR - 1


def ending_log_probs(model: nn.Module, count: int) -> list[tuple[dict[str, object], list[Tensor]]]:
    """Return questions about stories, with the log-probabilities of their endings' tokens."""
    tokenizer, questions = StoriesTokenizer(), story_questions(count)
    requests = [
        (tokenizer.encode(question["ctx"]), tokenizer.encode_ordinary(ending))
        for question in questions
        for ending in question["endings"]
    ]
    scores = iter(ContinuationScorer(model).score(requests))
    return [
        (question, [next(scores).log_probabilities for _ in question["endings"]])
        for question in questions
    ]


def accuracy(answered: list[tuple[dict[str, object], list[Tensor]]], by: str) -> float:
    """Return the share of questions whose right ending is the best by a definition."""
    right = [
        lesson.best_ending(log_probs, question["endings"], by) == question["label"]
        for question, log_probs in answered
    ]
    return sum(right) / len(right)


TEXT_STEPS, TEXT_CTX = 200, 64


@torch.no_grad()
def text_losses(seed: int, bpe_size: int, *, name: str = "") -> tuple[float, float]:
    """Return nats per token and bits per byte on held-out Shakespeare, by characters or pairs.

    bpe_size: ids of a byte-pair tokenizer trained on the text; 0 for characters.
    """
    text = small_models.tiny_shakespeare()
    train, held_out = text.decode(text.train), text.decode(text.held_out[:20_000])
    if bpe_size:
        tokenizer = pairs(bpe_size)
        encode, d_vocab = tokenizer.encode, tokenizer.vocab_size
    else:
        encode, d_vocab = text.encode, len(text.letters)
    torch.manual_seed(seed)
    model = gpt2_small.Transformer(
        gpt2_small.TransformerConfig(
            d_model=64, n_layers=2, n_heads=4, n_ctx=TEXT_CTX, d_vocab=d_vocab
        )
    )
    ids = torch.tensor(encode(train[:300_000]))
    with torch.enable_grad():
        small_models.train(model, ids, steps=TEXT_STEPS, seed=seed, n_ctx=TEXT_CTX, name=name)
    tokens = torch.tensor(encode(held_out))
    nats = small_models.held_out_loss(model, tokens, TEXT_CTX)
    log_probs = torch.full((len(tokens) - 1,), -nats)
    return nats, lesson.bits_per_byte(log_probs, held_out)


@cache
def pairs(size: int) -> BytePairTokenizer:
    """Return a byte-pair tokenizer of Shakespeare's first 100,000 characters."""
    text = small_models.tiny_shakespeare()
    return BytePairTokenizer.train(text.decode(text.train[:100_000]), size)


def measure(seed: int) -> dict[str, float]:
    """Return the measurements of one seed."""
    found = {}
    for name, schedule in SCHEDULES.items():
        model, _ = trained(seed, schedule)
        found[name] = above_floor(model)
        if name == "cosine":
            reference = model
    model, _ = trained(seed, LONGER, steps=2 * STEPS, solution=without_mask())
    found["without the mask"] = above_floor(model)
    answered = ending_log_probs(reference, 200)
    for by in ("sum", "token", "character"):
        found[f"accuracy by {by}"] = accuracy(answered, by)
    for what, size in (("characters", 0), ("512 pairs", 512)):
        nats, bits = text_losses(seed, size)
        found[f"nats per token, {what}"], found[f"bits per byte, {what}"] = nats, bits
    return found
