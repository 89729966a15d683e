"""Test shapes in signatures: complete, consistent, and checked at every call."""

import ast
import re

import pytest
import torch
from against_reference import edited_reference
from jaxtyping import TypeCheckError
from shape_types import check_shapes

import gpt2_small
from gpt2_small import binding

CONFIG = {"d_model": 24, "n_heads": 3, "d_mlp": 40, "n_layers": 1, "n_ctx": 12, "d_vocab": 29}
WORDS = {"batch", "seq", "seq_q", "seq_k", "head", "d_head", "d_model", "d_vocab"}
# Lengths other than seq: the loss's targets, a training window, a generated text.
LENGTHS = {"seq_tokens", "seq_plus_1", "seq_new"}
WITHOUT_A_NAME = {"1", "_", "*axes"}


@pytest.fixture(scope="module")
def tree() -> ast.Module:
    return ast.parse(binding.reference_path().read_text())


def load(tmp_path, *edits):
    module = gpt2_small.load(edited_reference(tmp_path, *edits))
    check_shapes(module)
    return module


READS_TOKENS = ["Embedding", "PositionalEmbedding", "Transformer"]
READS_RESIDUAL = ["LayerNorm", "MultiHeadAttention", "MLP", "TransformerBlock", "Unembedding"]


@pytest.mark.parametrize(
    ("component", "right", "wrong"),
    [
        *((name, torch.zeros(2, 5, dtype=torch.int64), torch.zeros(2, 5)) for name in READS_TOKENS),
        *((name, torch.zeros(2, 5, 24), torch.zeros(5, 24)) for name in READS_RESIDUAL),
    ],
)
def test_every_module_refuses_an_input_of_the_wrong_shape_or_kind(
    solution, component, right, wrong
):
    config = solution.TransformerConfig(**CONFIG, tied_embeddings=False)
    module = getattr(solution, component)(config)
    module(right)
    with pytest.raises(TypeCheckError, match="batch seq"):
        module(wrong)


def test_a_module_whose_output_has_a_wrong_axis_fails_with_the_axis_named(tmp_path):
    wrong = load(tmp_path, ("self.W_pos[:seq]", "self.W_pos"))
    module = wrong.PositionalEmbedding(wrong.TransformerConfig(**CONFIG))
    with pytest.raises(TypeCheckError, match="seq") as caught:
        module(torch.zeros(2, 5, dtype=torch.int64))
    assert "return value" in str(caught.value)
    assert re.search(r"seq.*\b5\b", str(caught.value), re.DOTALL)


def test_a_function_whose_arguments_disagree_fails_with_the_axis_named(solution):
    with pytest.raises(TypeCheckError, match="batch") as caught:
        solution.next_token_loss(torch.zeros(2, 5, 29), torch.zeros(3, 5, dtype=torch.int64))
    assert "tokens" in str(caught.value)
    with pytest.raises(TypeCheckError, match="batch d_vocab"):
        solution.sample(torch.zeros(2, 5, 29))
    with pytest.raises(TypeCheckError, match="batch seq"):
        solution.generate(torch.nn.Identity(), torch.zeros(5, dtype=torch.int64), 1)


def test_a_training_step_refuses_micro_batches_other_than_matrices(solution):
    model = solution.Transformer(solution.TransformerConfig(**CONFIG))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeCheckError, match="batches"):
        solution.train_step(model, [torch.zeros(5, dtype=torch.int64)], optimizer)


def test_checking_shapes_keeps_the_classes_and_is_applied_once(tmp_path):
    module = gpt2_small.load(edited_reference(tmp_path))
    norm, loss = module.LayerNorm, module.next_token_loss
    check_shapes(module)
    assert module.LayerNorm is norm
    checked = module.next_token_loss
    assert checked is not loss
    check_shapes(module)
    assert module.next_token_loss is checked


def test_imports_and_functions_without_shapes_are_not_changed(tmp_path):
    path = tmp_path / "learner.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from einops import rearrange\n"
        "from jaxtyping import Float\n"
        "from torch import Tensor, nn\n"
        "def plain(x): return x\n"
        "def unknown(x: Nowhere) -> Nothing: return x\n"
        "def typed(x: Float[Tensor, 'batch seq']) -> Float[Tensor, 'batch seq']: return x\n"
        "def gelu_tanh(pre: Float[Tensor, '*axes']) -> Float[Tensor, '*axes']: return pre\n"
    )
    module = gpt2_small.load(path)
    before = dict(vars(module))
    check_shapes(module)
    changed = {name for name, value in vars(module).items() if before.get(name) is not value}
    assert changed - {"SHAPES_ARE_CHECKED"} == {"gelu_tanh"}
    with pytest.raises(TypeCheckError, match="axes"):
        module.gelu_tanh(torch.zeros(3, dtype=torch.int64))


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """Return every public function of the reference, by its qualified name."""
    found = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for owner in (node for node in tree.body if isinstance(node, ast.ClassDef)):
        methods = (node for node in owner.body if isinstance(node, ast.FunctionDef))
        found |= {f"{owner.name}.{m.name}": m for m in methods if not m.name.startswith("_")}
    return found


def annotations(function: ast.FunctionDef) -> dict[str, ast.expr | None]:
    arguments = [*function.args.args, *function.args.kwonlyargs]
    found = {argument.arg: argument.annotation for argument in arguments if argument.arg != "self"}
    return {**found, "return": function.returns}


def test_every_tensor_in_a_signature_of_the_reference_has_its_shape(tree):
    """Except in the type of a callable, which is annotated with `Tensor`."""
    without = []
    for name, function in functions(tree).items():
        for argument, annotation in annotations(function).items():
            text = ast.unparse(annotation) if annotation else "nothing"
            stripped = re.sub(r"(Float|Int)\[Tensor, '[^']*'\]|Callable\[\[.*?\], \w+\]", "", text)
            if "Tensor" in stripped or annotation is None:
                without.append(f"{name}: {argument} is {text}")
    assert without == []


def test_every_component_and_every_function_over_tensors_has_shapes(tree):
    with_shapes = {
        name
        for name, function in functions(tree).items()
        if any(a and "Tensor, '" in ast.unparse(a) for a in annotations(function).values())
    }
    components = {f"{name}.forward" for name in READS_TOKENS + READS_RESIDUAL}
    assert with_shapes == components | {
        "gelu_tanh",
        "next_token_loss",
        "sample",
        "generate",
        "batch_loss",
        "train_step",
        "train",
    }


def axis_words(tree: ast.Module) -> set[str]:
    """Return the words in annotations' shapes and in einops patterns."""
    words: set[str] = set()
    for node in ast.walk(tree):
        is_shape = isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("Float", "Int")
        if is_shape and isinstance(node.slice, ast.Tuple):
            words |= set(ast.literal_eval(node.slice.elts[1]).split())
        elif isinstance(node, ast.Constant) and " -> " in str(node.value):
            words |= set(re.findall(r"[\w*]+", str(node.value)))
    return words


def test_one_axis_has_one_word(tree):
    assert axis_words(tree) == WORDS | LENGTHS | WITHOUT_A_NAME


@pytest.mark.parametrize(
    "text", ["x: Float[Tensor, 'batch position']", "rearrange(x, 'batch position -> position')"]
)
def test_a_second_word_for_an_axis_is_detected(text):
    assert axis_words(ast.parse(text)) - WORDS == {"position"}
