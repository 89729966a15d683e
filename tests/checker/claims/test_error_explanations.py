"""Test the explanations of exceptions: sizes, operands, advice, and the file's own refusals."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from checking import check_text, reference_with
from torch import nn

from gpt2_small import binding
from gpt2_small.checker.error_explanations import explain_error, sizes_in


def raised(call: Callable[[], object]) -> Exception:
    """The exception that a call raises."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call()
    return caught.value


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: torch.ones(22, 24) @ torch.ones(29, 24),
         "(here 22 is batch*seq, 24 is d_model, 29 is d_vocab): the two inner sizes, 24 and 29, "
         "must be equal; transpose the second matrix"),
        (lambda: torch.ones(22, 24) @ torch.ones(29, 40),
         "(here 22 is batch*seq, 24 is d_model, 29 is d_vocab, 40 is d_mlp): the two inner sizes, "
         "24 and 29, must be equal"),
        (lambda: torch.ones(2, 11, 24) + torch.ones(2, 12, 24), "(here 11 is seq, 12 is n_ctx)"),
        (lambda: torch.ones(2, 11, 24).view(2, 11, 40),
         "(here 2 is batch, 11 is seq, 40 is d_mlp)"),
        (lambda: F.layer_norm(torch.ones(2, 11), (24,)),
         "(here 24 is d_model, 2 is batch, 11 is seq)"),
        (lambda: torch.ones(2, 11).permute(0, 2, 1, 3), "tensor input does not match"),
        (lambda: torch.ones(2, 3).sum(dim=3), "but got 3)"),
        (lambda: torch.cat([torch.ones(2, 11), torch.ones(2)]), "got 2 and 1"),
        (lambda: [a for a, b in [(1, 2, 3)]], "the value has more than 2 parts"),
        (lambda: [a for a, b, c in [(1, 2)]], "the value has 2 parts where 3 are needed"),
        (lambda: torch.ones(2, 2) @ torch.ones(2, 2).double(), "two dtypes meet"),
        (lambda: F.embedding(torch.ones(2), torch.ones(3, 4)), "indices are integers"),
        (lambda: F.embedding(torch.tensor([3]), torch.ones(3, 4)), "as large as the axis"),
        (lambda: not torch.ones(2), "several; use .all(), .any() or torch.where"),
        (lambda: float(torch.ones(2)), "one number is needed"),
        (lambda: torch.ones(2) + None, "is a return missing there?"),
        (lambda: nn.Parameter(torch.ones(2)).add_(1), "write y = y + x"),
        (lambda: torch.ones(()).backward(), "no gradient reaches it"),
        (lambda: torch.multinomial(torch.tensor([1.0, -1.0]), 1), "some number is negative"),
        (lambda: torch.multinomial(torch.zeros(2), 1), "the probabilities of a row are all 0"),
    ],
)  # fmt: skip
def test_an_error_of_torch_is_explained(call: Callable[[], object], said: str) -> None:
    sentence = explain_error(raised(call), "MLP", is_gate=True)
    assert said in sentence
    assert ("(here" in said) or ("(here" not in sentence)


@pytest.mark.parametrize(
    ("part", "said"),
    [("generate", ["3 is batch", "4 is seq"]), ("MultiHeadAttention", ["3 is head"]), ("MLP", []),
     ("sample", []), ("attend", [])],
)  # fmt: skip
def test_a_size_has_the_meaning_of_the_part(part: str, said: list[str]) -> None:
    words = "Sizes of tensors must match except in dimension 1. Expected size 3 but got size 4 for"
    assert sizes_in(words, part, is_gate=True) == said


def test_sizes_of_other_calls_than_the_first_are_named_only_where_they_have_one_meaning() -> None:
    words = "mat1 and mat2 shapes cannot be multiplied (12x24 and 40x3)"
    assert sizes_in(words, "MLP", is_gate=False) == ["24 is d_model"]


def module_with(folder: Path, *lines: str) -> Callable[[Callable[[object], object]], str]:
    """Explains the exception of a call of a module of these lines."""
    path = folder / "draft.py"
    path.write_text("\n".join(["import torch", "from torch import nn", *lines]))
    module = binding.load(path)
    return lambda call: explain_error(raised(lambda: call(module)), "MLP", module=module)


def test_the_shapes_of_the_tensors_in_the_failed_line_are_given(tmp_path: Path) -> None:
    explained = module_with(
        tmp_path,
        "class MLP(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        "        self.W_in = nn.Parameter(torch.ones(5, 7))",
        "    def forward(self, x):",
        "        other = torch.ones(9)",
        "        return torch.matmul(x,",
        "                            self.W_in)",
    )
    sentence = explained(lambda module: module.MLP()(torch.ones(4, 6)))  # type: ignore[attr-defined]
    assert "x is [4 6], self.W_in is [5 7]" in sentence
    assert "other" not in sentence


@pytest.mark.parametrize(
    "refusal",
    ["raise ValueError('too long.')", "assert x.dim() == 7", "raise IndexError",
     "check(x)"],
)  # fmt: skip
def test_the_files_own_refusal_of_valid_input_is_told_from_torchs(
    tmp_path: Path, refusal: str
) -> None:
    explained = module_with(
        tmp_path,
        "def check(y):",
        "    raise ValueError('too long')",
        "def sample(x, *, rate=0.5):",
        f"    {refusal}",
    )
    sentence = explained(lambda module: module.sample(torch.ones(2, 3)))  # type: ignore[attr-defined]
    assert sentence.endswith("own check stops it, but the input is valid: x [2 3], rate=0.5")
    assert ".;" not in sentence


@pytest.mark.parametrize("line", ["torch.ones(2) @ torch.ones(3)", "int('x')"])
def test_an_error_of_a_call_is_not_the_files_own_refusal(tmp_path: Path, line: str) -> None:
    explained = module_with(tmp_path, "def sample(x):", f"    return {line}")
    assert "own check" not in explained(lambda module: module.sample(1))  # type: ignore[attr-defined]


def test_a_list_of_modules_that_is_called_is_not_taken_for_unwritten_code(tmp_path: Path) -> None:
    edit = (
        "        for block in self.blocks:\n            residual = block(residual)\n",
        "        residual = self.blocks(residual)\n",
    )
    verdict = check_text(tmp_path, reference_with(edit), "Transformer")
    failed = next(r for r in verdict.results if r.status != "passed")
    assert failed.status == "failed"
    assert failed.message.endswith(
        "a ModuleList cannot be called; call each of its modules in turn"
    )


def test_a_class_of_the_file_without_forward_is_unwritten(tmp_path: Path) -> None:
    unwritten = "class Mixer(nn.Module):\n    pass\n\n\nclass MLP("
    edits = (
        ("class MLP(", unwritten),
        ("        return self.output_dropout(output)\n\n\nclass TransformerBlock",
         "        return Mixer()(output)\n\n\nclass TransformerBlock"),
    )  # fmt: skip
    assert check_text(tmp_path, reference_with(*edits), "MLP").state_of("MLP") == "not_written"


def test_a_mean_without_the_reduced_axis_is_explained(tmp_path: Path) -> None:
    edit = ("        centered = residual - reduce(",
            "        mean = residual.mean(-1)\n        residual = residual - mean\n"
            "        centered = residual - reduce(")  # fmt: skip
    verdict = check_text(tmp_path, reference_with(edit), "LayerNorm")
    failed = next(r for r in verdict.results if r.status == "failed")
    assert failed.message.endswith("mean lacks the last axis; reduce with keepdim=True")


def test_a_missing_attribute_of_a_module_is_answered_with_those_that_it_has(tmp_path: Path) -> None:
    edit = ("self.attn(self.ln1(resid_pre))", "self.attention(self.ln1(resid_pre))")
    verdict = check_text(tmp_path, reference_with(edit), "TransformerBlock")
    failed = next(r for r in verdict.results if r.status == "failed")
    assert failed.message.endswith("has no attribute 'attention'; it has ln1, attn, ln2, mlp")


def test_an_index_beyond_a_list_is_answered_with_its_size() -> None:
    layers = nn.ModuleList(nn.Identity() for _ in range(2))
    assert explain_error(raised(lambda: layers[2])).endswith("there are at most 2, counted from 0")


def test_a_loss_that_is_a_number_is_answered_with_what_made_it_one(tmp_path: Path) -> None:
    edit = ('        rearrange(targets, "batch seq -> (batch seq)"),\n    )\n',
            '        rearrange(targets, "batch seq -> (batch seq)"),\n    ).item()\n')  # fmt: skip
    verdict = check_text(tmp_path, reference_with(edit), "next_token_loss")
    failed = next(r for r in verdict.results if r.status == "failed")
    assert failed.message.endswith(
        ".item() and float() make numbers of tensors: return the tensor itself"
    )


def test_a_gradient_that_is_none_is_explained(tmp_path: Path) -> None:
    edit = ("        return normalized * self.w + self.b\n",
            "        return torch.tensor(normalized.tolist()) * self.w + self.b\n")  # fmt: skip
    verdict = check_text(tmp_path, reference_with(edit), "LayerNorm")
    failed = next(r for r in verdict.results if r.status == "failed" and "gradients" in r.check)
    assert (
        "is None: the output does not use it, or something in between is cut off" in failed.message
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["        return self.head(x)"], "self.head is None here"),
        (["        y = print()", "        return y + x"],
         "y is None; is a return missing where it is made?"),
        (["        return x + scale"], "scale is None here"),
    ],
)  # fmt: skip
def test_the_name_that_is_none_is_given(tmp_path: Path, lines: list[str], said: str) -> None:
    explained = module_with(
        tmp_path,
        "class MLP(nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        "        self.head = None",
        "    def forward(self, x, scale=None):",
        *lines,
    )
    assert explained(lambda module: module.MLP()(torch.ones(2))).endswith(said)  # type: ignore[attr-defined]


def test_the_line_of_an_error_is_quoted(tmp_path: Path) -> None:
    edit = ('einsum(residual, self.W_U, "batch seq d_model, d_model d_vocab -> batch seq d_vocab")',
            "residual @ self.W_U.T")  # fmt: skip
    verdict = check_text(tmp_path, reference_with(edit), "Unembedding")
    sentence, code = verdict.reports["Unembedding"].location
    assert re.fullmatch(r"The error is raised in line \d+\.", sentence)
    assert "residual @ self.W_U.T" in code
    failed = next(r for r in verdict.results if r.status == "failed")
    assert "residual is [2 11 24], self.W_U is [24 29]" in failed.message
