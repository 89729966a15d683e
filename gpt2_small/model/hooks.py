"""Read or patch inner activations by TransformerLens's names."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from jaxtyping import Float, Int
from torch import Tensor, nn

from gpt2_small.errors import UserError, did_you_mean

Hook = Callable[[Tensor], Tensor | None]


def tap_names(model: nn.Module) -> list[str]:
    """The names of a model's taps, in the order of its modules. Raises UserError when compiled."""
    if any(_is_compiled(module) for module in model.modules()):
        raise UserError(
            "hooks do not work on a compiled model; pass the model without torch.compile"
        )
    return [name for name, _ in model.named_modules() if name.split(".")[-1].startswith("hook_")]


def _is_compiled(module: nn.Module) -> bool:
    """Whether torch.compile(module) or module.compile() was used; neither runs hooks reliably."""
    return "_orig_mod" in module._modules or module._compiled_call_impl is not None


@contextmanager
def hooks(model: nn.Module, functions: Mapping[str, Hook]) -> Iterator[None]:
    """In this context, call functions[name] with the activation of each named tap.

    A returned tensor of the same shape replaces the activation; None leaves it unchanged. The names
    are those of TransformerLens, such as `blocks.0.attn.hook_pattern`. All hooks are removed at the
    end, also after an exception.

    Raises UserError for an unknown tap, for a compiled model, and when a function returns anything
    else.
    """
    if not isinstance(functions, Mapping):
        raise UserError(f"hooks take a dictionary {{name: function}}, not {functions!r}")
    names = tap_names(model)
    for name in functions:
        if name not in names:
            hint = did_you_mean(name, names, otherwise=f"there are {', '.join(names[:3])}, ...")
            raise UserError(f"the model has no tap {name!r}; {hint}")
    with ExitStack() as stack:
        for name, function in functions.items():
            tap = model.get_submodule(name)
            handle = tap.register_forward_hook(
                lambda _tap, _inputs, activation, name=name, function=function: _checked(
                    name, activation, function(activation)
                )
            )
            stack.callback(handle.remove)
        yield


def _checked(name: str, activation: Tensor, returned: object) -> Tensor | None:
    """What a hook returned. Raises UserError unless it is None or has the activation's shape."""
    if returned is None:
        return None
    if not isinstance(returned, Tensor):
        raise UserError(
            f"the hook of {name} returned {returned!r}; return a tensor, or None to change nothing"
        )
    if returned.shape != activation.shape:
        raise UserError(
            f"the hook of {name} returned the shape {list(returned.shape)}; "
            f"the activation has {list(activation.shape)}"
        )
    return returned


def run_with_cache(
    model: nn.Module, tokens: Int[Tensor, "batch seq"]
) -> tuple[Float[Tensor, "batch seq d_vocab"], dict[str, Tensor]]:
    """Run the model and return its logits and every tap's activation, detached, by name.

    The model runs in the mode it is in; in eval mode the activations are TransformerLens's.
    Masked attention scores are -inf.

    Raises UserError for a compiled model.
    """
    cache: dict[str, Tensor] = {}

    def store(name: str) -> Hook:
        def hook(activation: Tensor) -> None:
            cache[name] = activation.detach()

        return hook

    with hooks(model, {name: store(name) for name in tap_names(model)}):
        logits = model(tokens)
    return logits, cache
