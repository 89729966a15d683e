"""Compare a loaded solution with a reference; raise AssertionError where they differ."""

from pathlib import Path
from types import ModuleType

from assert_close import assert_close
from torch import Tensor, nn

from gpt2_small import binding, run_with_cache
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.stored_reference import ComponentCase, StoredReference, comparable


def edited_reference(folder: Path, *edits: tuple[str, str]) -> Path:
    """Write a copy of the reference with each old text (found once) replaced; return its path."""
    text = binding.reference_path().read_text()
    for old, new in edits:
        assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in the reference"
        text = text.replace(old, new)
    path = folder / "edited.py"
    path.write_text(text)
    return path


def model_of(solution: ModuleType, reference: StoredReference) -> nn.Module:
    """Return a solution's Transformer with a reference's weights, in eval mode."""
    model: nn.Module = solution.Transformer(solution.TransformerConfig(**reference.config))
    model = model.to(reference.logits.dtype).eval()
    load(model, reference.weights)
    return model


def load(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights strictly; a parameter that a file registers under two names is loaded once."""
    named = probes.own_parameters(model, weights)
    own = {id(parameter): name for name, parameter in named.items()}
    every = model.named_parameters(remove_duplicate=False)
    model.load_state_dict({name: weights[own[id(parameter)]] for name, parameter in every})
    assert weights.keys() == named.keys()


def gives_the_activations(
    module: nn.Module, given: Tensor, expected: dict[str, Tensor], what: str
) -> Tensor:
    """Run a module, compare every tap that it has, and return its output."""
    output, cache = run_with_cache(module, given)
    for name in cache.keys() & expected.keys():
        assert_close(comparable(name, cache[name]), expected[name], f"{name} of {what}")
    return output


def gives_the_gradients(module: nn.Module, expected: dict[str, Tensor], what: str) -> None:
    """Compare the gradients that a backward pass has accumulated."""
    named = probes.own_parameters(module, expected)
    gradients = {name: parameter.grad for name, parameter in named.items()}
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert gradient is not None, f"{name} of {what} gets no gradient"
        assert_close(gradient, expected[name], f"the gradient of {name} of {what}")


def component_agrees(solution: ModuleType, reference: StoredReference, case: ComponentCase) -> None:
    """Compare one component alone: its output, inner activations and gradients."""
    module = getattr(solution, case.component)(solution.TransformerConfig(**reference.config))
    module = module.to(reference.logits.dtype).eval()
    load(module, case.parameters)
    what = f"{case.component} {case.where}".strip()

    given = case.input.clone().requires_grad_(case.input.is_floating_point())
    output = gives_the_activations(module, given, case.activations, what)
    assert_close(output, case.output, f"the output of {what}")
    if case.output_gradient is not None:
        output.backward(case.output_gradient)
        gives_the_gradients(module, case.parameter_gradients, what)
    if case.input_gradient is not None:
        assert given.grad is not None, f"the input of {what} gets no gradient"
        assert_close(given.grad, case.input_gradient, f"the gradient of the input of {what}")


def model_agrees(solution: ModuleType, reference: StoredReference) -> None:
    """Compare the whole model: its logits, inner activations, loss and gradients."""
    model = model_of(solution, reference)
    logits = gives_the_activations(model, reference.tokens, reference.activations, "the model")
    assert_close(logits, reference.logits, "the logits")
    if reference.gradients:
        loss = solution.next_token_loss(logits, reference.tokens)
        assert_close(loss, reference.loss, "the loss")
        loss.backward()
        gives_the_gradients(model, reference.gradients, "the model")
