"""Test naming two known mistakes at once in other styles."""

from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import mistake_matrix as matrix
import pytest
from test_mistake_matrix import trial_of
from unlisted_slips import FILES

from gpt2_small.checker.mistakes import mistake
from gpt2_small.checker.mistakes.edited_reference import build
from gpt2_small.checker.mistakes.matching import likely_pairs

pytestmark = pytest.mark.usefixtures("one_thread")

# By style and part: statements with their wrong replacements, and the two mistakes.
PAIRS = [
    (
        "nanogpt_style", "MultiHeadAttention",
        ("math.sqrt(k.size(-1))", "math.sqrt(C)"),
        ("y = y @ self.W_O.reshape(C, C) + self.b_O", "y = y @ self.W_O.reshape(C, C)"),
        {"attention-scale-d-model", "attention-b-o-unused"},
    ),
    (
        "own_functions", "MultiHeadAttention",
        ("/ math.sqrt(d_k)", ""),
        ("v = x @ self.W_V + self.b_V[:, None]", "v = x @ self.W_V"),
        {"attention-scale-missing", "attention-b-v-unused"},
    ),
    (
        "loop_over_heads", "MultiHeadAttention",
        ("+ self.b_O", ""),
        ("+ self.b_Q[h]", "+ self.b_K[h]"),
        {"attention-b-o-unused", "attention-query-with-b-k"},
    ),
    (
        "loop_over_heads", "MultiHeadAttention",
        ("wei = q @ k.transpose(1, 2) / q.shape[-1] ** 0.5",
         "wei = q @ k.transpose(1, 2) * x.shape[2] ** -0.5"),
        ("wei = wei.softmax(dim=-1)", "wei = wei.softmax(dim=1)"),
        {"attention-scale-d-model", "attention-softmax-over-queries"},
    ),
    (
        "own_functions", "MLP",
        ("0.044715", "0.44715"),
        ("@ self.W_out + self.b_out", "@ self.W_out"),
        {"mlp-gelu-constant-0.44715", "mlp-b-out-unused"},
    ),
    (
        "nanogpt_style", "LayerNorm",
        ("unbiased=False", "unbiased=True"),
        ("return self.w * xhat + self.b", "return self.w * xhat"),
        {"layer-norm-unbiased-variance", "layer-norm-bias-unused"},
    ),
    (
        "own_functions", "LayerNorm",
        ("(var + self.eps) ** 0.5", "(var**0.5 + self.eps)"),
        ("* self.w + self.b", "* (1 + self.w) + self.b"),
        {"layer-norm-epsilon-outside", "layer-norm-gain-plus-one"},
    ),
]  # fmt: skip


# The default suite tries one pair of attention, the part with the most mistakes.
CASES = [
    pytest.param(pair, marks=pytest.mark.slow) if pair in PAIRS[1:4] else pair for pair in PAIRS
]


@pytest.mark.parametrize("pair", CASES, ids=lambda pair: " ".join(pair[:2]))
def test_two_known_mistakes_are_named_in_another_style(pair, tmp_path: Path) -> None:
    style, part, first, second, names = pair
    text = (FILES / f"{style}.py").read_text(encoding="utf-8")
    for right, wrong in (first, second):
        assert right in text
        text = text.replace(right, wrong)
    path = tmp_path / f"{style}.py"
    path.write_text(text, encoding="utf-8")
    assert set(trial_of(path, part).named) == names


# In each pair the second explains one group of checks only, or a third mistake explains both.
MISTAKES = [
    ("embedding-one-row-more", "embedding-fresh-table"),
    ("embedding-fresh-table", "embedding-init-all-xavier"),
    ("mlp-adds-its-input", "mlp-fixed-width"),
    ("block-ln2-for-both", "block-detached-stream"),
    ("block-attention-missing", "block-mlp-missing"),
    ("attention-one-full-width-head", "attention-key-with-b-q"),
]
SLOW_MISTAKES = [
    ("sample-argmax", "sample-returns-rank"),
    ("transformer-positions-missing", "transformer-positions-in-every-block"),
    ("train-first-micro-batch", "train-step-twice"),
    ("transformer-norm-after-every-block", "transformer-one-block-less"),
    ("transformer-softmax-in-evaluation", "transformer-final-norm-before-blocks"),
    ("transformer-tie-copied", "transformer-one-block-repeated"),
    ("transformer-first-block-only", "transformer-last-position-in-evaluation"),
]


@pytest.mark.parametrize(
    "ids", [*MISTAKES, *(pytest.param(ids, marks=pytest.mark.slow) for ids in SLOW_MISTAKES)]
)
def test_two_mistakes_at_once_are_not_named_as_a_third(ids: tuple[str, str]) -> None:
    first, second = map(mistake.find, ids)
    trial = matrix.try_part(build(first, second), first.component)
    assert trial.failed
    assert set(trial.named) <= set(ids), trial.text


def test_each_kind_of_pair_has_its_own_quota_of_trials(monkeypatch) -> None:
    """With many evident pairs, the nearest and the most explanatory ones are still tried."""
    known = mistake.distinct(mistake.catalogue("MultiHeadAttention"))

    observed = SimpleNamespace(
        part="MultiHeadAttention",
        known=[],
        evidence=SimpleNamespace(is_recorded=True, ranked=lambda: known[-3:]),
        wrong=SimpleNamespace(seed=0),
        traces={},
        seen={"check": {}},
        has_other_names=False,
        failed_in=lambda _group: [],
        explains_one=lambda _mistakes, _name: False,
    )

    explains = {known[40].id: {"a"}, known[50].id: {"b"}}
    monkeypatch.setattr(
        likely_pairs, "explained_alone", lambda _wrong, m, _seen: explains.get(m.id, set())
    )
    pairs = list(likely_pairs.likely_pairs(observed, known, "check"))
    assert (known[0], known[1]) in islice(pairs, 6)
    assert sum(known[-1] in pair for pair in pairs) > 30
    assert (known[40], known[50]) in pairs
    assert len(pairs) == len(set(pairs)) <= 6 + 120 + 60
