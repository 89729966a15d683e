"""Test that a known mistake is named beside two unlisted ones."""

from collections.abc import Iterator

import mistake_matrix as matrix
import pytest
from default_share import few, slowly

from gpt2_small.checker.mistakes.edited_reference import EditDoesNotFit, build, edited_text
from gpt2_small.checker.mistakes.matching.wrong_references import wrong_references
from gpt2_small.checker.mistakes.mistake import Mistake, catalogue, distinct, find

pytestmark = pytest.mark.usefixtures("one_thread")

# Slips that do not change a part's function. The other parts have none that fits beside most of
# their mistakes.
SLIPS = {
    "LayerNorm": ("layer-norm-in-place", "layer-norm-gain-random", "layer-norm-bias-starts-at-one"),
    "Embedding": ("embedding-init-standard-normal", "embedding-frozen"),
    "MultiHeadAttention": (
        "attention-dropout-missing",
        "attention-mask-on-cpu",
        "attention-w-o-init-like-the-rest",
    ),
    "MLP": ("mlp-dropout-missing", "mlp-w-out-init-like-w-in"),
    "Unembedding": ("unembedding-init-standard-normal", "unembedding-detached"),
    "Transformer": (
        "transformer-dropout-missing",
        "transformer-config-missing",
        "transformer-init-standard-normal",
    ),
    "next_token_loss": ("loss-in-place", "loss-detached"),
    "sample": ("sample-in-place", "sample-generator-ignored"),
    "generate": ("generate-under-dropout", "generate-generator-forgotten"),
    "train_step": ("train-step-refuses-nothing", "train-step-empties-its-list"),
    "train": ("train-prints", "train-mode-not-set"),
}
# Number of a part's mistakes in the default suite; `pytest -m slow` tries all.
FEW = {"LayerNorm": 15, "Embedding": 6, "MLP": 15}


def with_slips(part: str, step: int = 1) -> Iterator[tuple[Mistake, tuple[Mistake, ...]]]:
    """Yield mistakes of a part's function, each with two slips that fit beside it."""
    slips = [find(name) for name in SLIPS[part]]
    wrong = wrong_references(part, 0)
    function = [name for name, claim in wrong.checks.items() if claim.group == "function"]
    for mistake in distinct(catalogue(part))[::step]:
        if mistake in slips or not any(wrong.fails((mistake,), name) for name in function):
            continue
        for first in slips:
            for second in slips[slips.index(first) + 1 :]:
                try:
                    edited_text(mistake, first, second)
                except EditDoesNotFit:
                    continue
                yield mistake, (first, second)
                break
            else:
                continue
            break


def nameless(part: str, step: int = 1) -> tuple[list[tuple[str, ...]], int]:
    """Return the unnamed mistakes, with the names given instead, and the number tried."""
    lost, number = [], 0
    for mistake, slips in with_slips(part, step):
        trial = matrix.try_part(build(mistake, *slips), part)
        number += 1
        if mistake.id not in trial.named:
            lost.append((mistake.id, *trial.named))
    return lost, number


@pytest.mark.parametrize("part", few(("LayerNorm", "Embedding"), FEW))
def test_a_mistake_keeps_its_name_beside_two_more_slips(part: str) -> None:
    lost, number = nameless(part, FEW[part])
    assert number >= 2
    assert lost == []


@pytest.mark.slow
def test_nearly_all_mistakes_keep_their_names_beside_two_more_slips() -> None:
    """At least 95 %."""
    found = {part: nameless(part) for part in SLIPS}
    lost = [one for ones, _ in found.values() for one in ones]
    assert len(lost) <= 0.05 * sum(number for _, number in found.values()), lost


@pytest.mark.parametrize(
    "ids",
    [
        ("schedule-warm-up-missing", "schedule-linear", "schedule-peak-afterwards"),
        slowly((("schedule-first-step-zero", "schedule-both-one-late", "schedule-up-again"),)),
        slowly((("schedule-floor-cuts", "schedule-end-one-late", "schedule-warm-up-square"),)),
    ],
)
def test_three_mistakes_of_a_schedule_are_all_named(ids: tuple[str, ...]) -> None:
    trial = matrix.try_part(build(*map(find, ids)), "learning_rate")
    assert set(trial.named) == set(ids)
