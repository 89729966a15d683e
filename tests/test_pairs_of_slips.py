"""Two known mistakes at once are both named in files of other styles, without taps."""

from pathlib import Path

import pytest
import torch
from test_mistake_matrix import trial_of
from unlisted_slips import FILES

# By style and part: statements with what stands there instead, and the two mistakes.
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


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " ".join(pair[:2]))
def test_two_known_mistakes_are_named_in_another_style(pair, tmp_path: Path) -> None:
    style, part, first, second, names = pair
    text = (FILES / f"{style}.py").read_text(encoding="utf-8")
    for right, wrong in (first, second):
        assert right in text
        text = text.replace(right, wrong)
    path = tmp_path / f"{style}.py"
    path.write_text(text, encoding="utf-8")
    assert set(trial_of(path, part).named) == names
