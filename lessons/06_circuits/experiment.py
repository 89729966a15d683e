"""Train small models on texts that repeat one word, and analyse their circuits."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gpt2_small

_FOLDER = Path(__file__).resolve().parent
small_models = gpt2_small.load(_FOLDER.parent / "small_models.py")
lesson = gpt2_small.load(_FOLDER / "reference.py")

SEEDS = (0, 1, 2)
D_VOCAB, N_CTX = 32, 32
SHORTEST, LONGEST = 5, 14
STEPS, BATCH_SIZE, PEAK = 400, 32, 5e-3
EVERY = 25


def repeated_words(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return texts [count n_ctx+1], and which of the n_ctx next tokens are predictable.

    A text repeats one word of 5 to 14 distinct random tokens to its end. From the second token of
    the first repetition on, the next token is certain: the one that followed the same token before.
    """
    length = torch.randint(SHORTEST, LONGEST + 1, (count, 1), generator=generator)
    drawn = torch.rand(count, D_VOCAB, generator=generator).argsort(dim=1)
    place = torch.arange(N_CTX + 1) % length
    return drawn.gather(1, place), torch.arange(1, N_CTX + 1) > length


def new_model(n_layers: int, seed: int) -> nn.Module:
    """Return a fresh GPT-2 of width 64 with four heads a layer and an untied unembedding.

    Weights are drawn larger than GPT-2's, since the model is narrower.
    """
    torch.manual_seed(seed)
    config = gpt2_small.TransformerConfig(
        d_model=64,
        n_layers=n_layers,
        n_heads=4,
        d_mlp=64,
        n_ctx=N_CTX,
        d_vocab=D_VOCAB,
        init_std=0.1,
        tied_embeddings=False,
    )
    model: nn.Module = gpt2_small.Transformer(config)
    return model


def loss_where_known(model: nn.Module, batch: Tensor) -> Tensor:
    """Return the mean loss of the predictable tokens; the others are stored as ~token."""
    tokens = torch.where(batch < 0, ~batch, batch)
    is_known = batch[:, 1:] >= 0
    return F.cross_entropy(model(tokens[:, :-1])[is_known], tokens[:, 1:][is_known])


def batches(seed: int, steps: int) -> Iterator[list[Tensor]]:
    """Return every step's micro-batch [batch n_ctx+1]; unpredictable tokens are ~token."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        tokens, is_known = repeated_words(BATCH_SIZE, generator)
        is_target = F.pad(is_known, (1, 0))
        yield [torch.where(is_target, tokens, ~tokens)]


def trained(
    n_layers: int, seed: int, *, steps: int = STEPS, name: str = ""
) -> tuple[nn.Module, dict[int, float]]:
    """Return a trained model, and its accuracy after every 25th step.

    name: the model's name in a line of progress; without a name there is no line.
    """
    model = new_model(n_layers, seed)
    groups = gpt2_small.parameter_groups(model, weight_decay=0.0)
    records = gpt2_small.train(
        model,
        batches(seed, steps),
        torch.optim.AdamW(groups, lr=PEAK, betas=(0.9, 0.98)),
        schedule=partial(
            gpt2_small.learning_rate, peak=PEAK, warmup_steps=min(50, steps), total_steps=steps
        ),
        loss=loss_where_known,
    )
    progress, curve = small_models.TrainingProgress(name, steps), {0: accuracy(model, count=128)}
    for record in records:
        if record.step % EVERY == 0:
            curve[record.step] = accuracy(model, count=128)
        progress.show(record.step, f"loss {record.loss:.3f}")
    return model.eval(), curve


@torch.no_grad()
def accuracy(model: nn.Module, removed: tuple[str, ...] = (), count: int = 512) -> float:
    """Return the share of the predictable tokens of held-out texts that the model predicts.

    removed: names of taps whose activations are replaced by zeros.
    """
    tokens, is_known = repeated_words(count, torch.Generator().manual_seed(1234))
    with gpt2_small.hooks(model, dict.fromkeys(removed, torch.zeros_like)):
        predicted = model(tokens[:, :-1]).argmax(dim=-1)
    return float((predicted == tokens[:, 1:])[is_known].double().mean())


@torch.no_grad()
def lens_accuracy(model: nn.Module) -> list[float]:
    """Return the accuracy of the logit lens before the first block and after each."""
    tokens, is_known = repeated_words(512, torch.Generator().manual_seed(1234))
    _, cache = lesson.run_with_cache(model, tokens[:, :-1])
    right = lesson.logit_lens(model, cache).argmax(dim=-1) == tokens[:, 1:]
    return [float(layer[is_known].double().mean()) for layer in right]


@torch.no_grad()
def attention_scores(model: nn.Module) -> Mapping[str, float]:
    """Return a head's largest scores by layer: induction, its chance level, previous token."""
    tokens, _ = repeated_words(512, torch.Generator().manual_seed(1234))
    tokens = tokens[:, :-1]
    _, cache = lesson.run_with_cache(model, tokens)
    even = torch.ones(N_CTX, N_CTX).tril()
    even = (even / even.sum(dim=1, keepdim=True)).expand(len(tokens), 1, -1, -1)
    found = {"induction score by chance": float(lesson.induction_scores(even, tokens))}
    for layer in range(len(model.blocks)):
        pattern = cache[f"blocks.{layer}.attn.hook_pattern"]
        before = pattern.diagonal(offset=-1, dim1=2, dim2=3).mean(dim=(0, 2))
        found[f"induction score, layer {layer}"] = float(
            lesson.induction_scores(pattern, tokens).max()
        )
        found[f"attention to the token before, layer {layer}"] = float(before.max())
    return found


ASKED, WORD = 5, 14


def broken_texts(count: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Return clean and corrupted texts [count 20], and the next token of the clean ones.

    A text is a word of 14 tokens and its beginning again, up to its token number 5. In a corrupted
    text that token of the first word is replaced, so that the last token has never occurred before.
    """
    generator = torch.Generator().manual_seed(99)
    drawn = torch.rand(count, D_VOCAB, generator=generator).argsort(dim=1)
    clean = torch.cat([drawn[:, :WORD], drawn[:, : ASKED + 1]], dim=1)
    corrupted = clean.clone()
    corrupted[:, ASKED] = drawn[:, WORD]
    return clean, corrupted, drawn[:, ASKED + 1]


def path(model: nn.Module) -> Tensor:
    """Return each stream's restored share of the right token's log-probability [layer seq]."""
    clean, corrupted, right = broken_texts()

    def score(logits: Tensor) -> Tensor:
        return logits[:, -1].log_softmax(dim=-1).gather(1, right[:, None]).mean()

    found: Tensor = lesson.patching_map(model, clean, corrupted, score)
    return found


def measure(seed: int) -> dict[str, float]:
    """Return the measurements of one seed's two models."""
    (two, curve), (one, control) = trained(2, seed), trained(1, seed)
    steps, shares = (50, 100, 150, 200, 300), path(two)
    return {
        "two layers": accuracy(two),
        "one layer": accuracy(one),
        "without the attention of layer 0": accuracy(two, ("blocks.0.hook_attn_out",)),
        "without the attention of layer 1": accuracy(two, ("blocks.1.hook_attn_out",)),
        "without the MLPs": accuracy(two, ("blocks.0.hook_mlp_out", "blocks.1.hook_mlp_out")),
        **{f"logit lens after {n} layers": each for n, each in enumerate(lens_accuracy(two))},
        **attention_scores(two),
        "brought back, layer 0, at the token": float(shares[0, ASKED]),
        "brought back, layer 1, at the token": float(shares[1, ASKED]),
        "brought back, layer 1, at the one after": float(shares[1, ASKED + 1]),
        **{f"two layers, step {step}": curve[step] for step in steps},
        **{f"one layer, step {step}": control[step] for step in steps},
    }
