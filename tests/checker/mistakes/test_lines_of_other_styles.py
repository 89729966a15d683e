"""Test the quoted lines of parts that are written in other styles than the reference's."""

from pathlib import Path

import pytest
from checking import check_text, line_of, reference_with
from test_lines import SORTED_UPWARDS, traces_of

from gpt2_small import binding
from gpt2_small.checker.claims.judging.runner import stand_in
from gpt2_small.checker.mistakes.lines.claim_lines import ClaimLines
from gpt2_small.checker.mistakes.lines.effects.function_lines import sample
from gpt2_small.checker.mistakes.lines.location import Location
from gpt2_small.checker.mistakes.lines.non_output_lines import non_output_line
from gpt2_small.checker.mistakes.lines.own_epsilon import epsilon_of
from gpt2_small.checker.sandbox.tracing import cases_of, record

DIVIDED = "    logits = logits / temperature\n"


def located(folder: Path, part: str, text: str) -> Location | None:
    """The location of the first difference of a part that is the only one of its file."""
    path = folder / "my_gpt2.py"
    path.write_text(text)
    module = binding.load(path)
    stand_in(module, [part])
    traces = {case: record(module, part, 0, case) for case in cases_of(part)}
    return ClaimLines(part, 0, traces, text.encode())._located


def test_log_probabilities_are_right_before_top_k(tmp_path: Path) -> None:
    text = SORTED_UPWARDS.replace("REMOVED", "shares.cumsum(-1) <= top_p")
    text = text.replace(DIVIDED, "    logits = (logits / temperature).log_softmax(-1)\n")
    found = located(tmp_path, "sample", text)
    assert found is not None
    assert found.differs == line_of(text, "removed = shares.cumsum(-1) <= top_p")


def test_logits_without_the_temperature_are_not_wrong_before_an_error(tmp_path: Path) -> None:
    """The temperature might come after the line that raises."""
    cut = "logits = logits.masked_fill(logits < least, -torch.inf)\n"
    text = SORTED_UPWARDS.replace("REMOVED", "shares.cumsum(-1) <= 1 - top_p")
    text = text.replace(DIVIDED, "").replace(cut, f"{cut}{DIVIDED.replace('    ', ' ' * 8)}")
    assert located(tmp_path, "sample", text.replace("[0][:, -1:]", "[0][:, -1]")) is None


def test_tokens_taken_by_the_drawn_ranks_are_not_called_the_ranks(tmp_path: Path) -> None:
    edit = ("token_of_rank.gather(dim=-1, index=rank).squeeze(-1)", "token_of_rank[rank][:, 0, 0]")
    text, traces = traces_of(tmp_path, "sample", edit)
    assert sample(0, traces[""], "", text.encode()) is None


RETURNS_PROBABILITIES = (
    "    rank = torch.multinomial(",
    "    if top_p is None:\n        return probabilities  # here\n    rank = torch.multinomial(",
)


def test_the_return_without_a_draw_is_quoted_for_the_call_without_options(tmp_path: Path) -> None:
    text, traces = traces_of(tmp_path, "sample", RETURNS_PROBABILITIES)
    found = ClaimLines("sample", 0, traces, text.encode())._without_options()
    assert found is not None
    assert found.differs == line_of(text, "# here")


OVERFLOWING = """
def next_token_loss(logits, tokens):
    if tokens.shape[1] < 2 or logits.shape[1] < tokens.shape[1] - 1:
        raise ValueError("no next token")
    counts = logits[:, : tokens.shape[1] - 1].exp()
    shares = counts / counts.sum(-1, keepdim=True)
    return -shares.gather(-1, tokens[:, 1:, None]).log().mean()
"""


def test_the_heading_has_the_line_in_which_the_error_begins(tmp_path: Path) -> None:
    verdict = check_text(tmp_path, OVERFLOWING, "next_token_loss")
    first = next(result for result in verdict.results if result.status == "failed")
    assert first.line == line_of(OVERFLOWING, ".log().mean()")


@pytest.mark.parametrize("other", ["", "            nn.init.uniform_(weight)\n"])
def test_the_line_that_draws_parameters_anew_is_quoted(tmp_path: Path, other: str) -> None:
    apply, draw = "        self.apply(self.draw)\n", "nn.init.normal_(weight, std=0.5)\n"
    text = reference_with(
        (
            "        self.hook_pos_embed = nn.Identity()\n",
            "        self.hook_pos_embed = nn.Identity()\n"
            f"{apply}\n    def draw(self, module):\n"
            "        for weight in module.parameters(recurse=False):\n"
            f"            {draw}{other}",
        )
    )
    message = "the standard deviation of embed.W_E is 0.5"
    line = non_output_line("initialisation", "Transformer", 0, message, {}, text)
    assert line == line_of(text, apply.strip() if other else draw.strip())


@pytest.mark.parametrize("drawn", [False, True])
def test_the_line_that_changes_a_parameter_is_quoted_beside_an_apply(drawn: bool) -> None:
    """The parameter is changed after the apply, which draws well or does not draw at all."""
    given = "lambda m: nn.init.normal_(m.W_E)" if drawn else "lambda m: None"
    taps = "        self.hook_pos_embed = nn.Identity()\n"
    change = "self.pos_embed.W_pos.data.mul_(0.5)\n"
    text = reference_with((taps, f"{taps}        self.apply({given})\n        {change}"))
    message = "The standard deviation of pos_embed.W_pos is 0.0153; it should be 0.03"
    line = non_output_line("initialisation", "Transformer", 0, message, {}, text)
    assert line == line_of(text, change)


def test_an_apply_that_draws_nothing_is_not_quoted() -> None:
    taps = "        self.hook_pos_embed = nn.Identity()\n"
    text = reference_with((taps, f"{taps}        self.apply(lambda m: None)\n"))
    message = "The standard deviation of pos_embed.W_pos is 0.0153; it should be 0.03"
    line = non_output_line("initialisation", "Transformer", 0, message, {}, text)
    assert line != line_of(text, "self.apply(")


@pytest.mark.parametrize(
    ("signature", "kept"),
    [("config", "1e-5  # here"), ("config, *, eps=1e-5", "eps")],
    ids=["an attribute", "a default"],
)
def test_the_line_that_sets_the_epsilon_is_quoted(
    tmp_path: Path, signature: str, kept: str
) -> None:
    text = reference_with(
        ("        self.eps = config.layer_norm_eps\n", f"        self.eps = {kept}\n"),
    )
    own = "class LayerNorm(nn.Module):"
    begun, rest = text.split(own)
    old = "    def __init__(self, config: TransformerConfig) -> None:"
    new = f"    def __init__(self, {signature}) -> None:" + ("  # here" if kept == "eps" else "")
    text = begun + own + rest.replace(old, new, 1)
    result = next(
        result
        for result in check_text(tmp_path, text, "LayerNorm").results
        if result.status == "failed" and result.component == "LayerNorm"
    )
    assert result.line == line_of(text, "# here")


NORM = (
    "class LayerNorm:\n    def __init__(self):\n        self.power = 0.5\n        self.eps = 1e-5\n"
)


@pytest.mark.parametrize(
    ("scale", "line"),
    [
        ("(variance + 1e-5) ** self.power", None),
        ("(\n            1e-5 + variance\n        ) ** self.eps", None),
        ("(variance + self.eps) ** self.power", 4),
        ("variance ** self.power", None),
    ],
)
def test_only_a_number_of_its_size_is_quoted_for_the_epsilon(scale: str, line: int | None) -> None:
    text = f"{NORM}    def forward(self, variance):\n        return {scale}\n"
    assert epsilon_of("LayerNorm", text, text.count("\n")) == line


def test_the_call_that_makes_values_for_the_queries_is_quoted(tmp_path: Path) -> None:
    """The values are right where they are made again, by the same helper."""
    text, traces = traces_of(
        tmp_path,
        "MultiHeadAttention",
        ("        query = self.hook_q(einsum(residual, self.W_Q, project) + self.b_Q)\n",
         "        def values():\n"
         "            return einsum(residual, self.W_V, project) + self.b_V\n\n"
         "        query = values()  # here\n"),
        ("value = self.hook_v(einsum(residual, self.W_V, project) + self.b_V)",
         "value = values()"),
        ("            query / math.sqrt(self.d_head),\n", "            query,\n"),
    )  # fmt: skip
    found = ClaimLines("MultiHeadAttention", 0, traces, text.encode())._located
    assert found is not None
    assert found.differs == line_of(text, "# here")
    assert "the values, used in place of the queries" in found.sentence()
