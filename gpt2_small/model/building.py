"""Build the bound model without initialising weights, and load safetensors files strictly."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gpt2_small import binding
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.files.lfs_pointers import refuse_lfs_pointer
from gpt2_small.files.special_files import refuse_pipe
from gpt2_small.model_protocol import Model

if TYPE_CHECKING:
    from gpt2_small import Transformer, TransformerConfig

NAMES_SHOWN = 8

# The names of torch.Tensor's and torch.nn.init's in-place random initialisations.
DRAWS = frozenset(
    f"{prefix}{kind}_"
    for prefix in ("", "trunc_", "xavier_", "kaiming_")
    for kind in ("normal", "uniform")
)


def config_from_fields(fields: Mapping[str, Any], source: str) -> "TransformerConfig":
    """The bound solution's TransformerConfig with these fields.

    source: the origin of the fields, for the message.

    Raises UserError for an unknown field (with the nearest) or an invalid value.
    """
    config_class = binding.config_class()
    known = [field.name for field in dataclasses.fields(config_class)]
    for name in fields:
        if name not in known:
            hint = did_you_mean(name, known, otherwise=f"the fields are {', '.join(known)}")
            raise UserError(f"{source} has the unknown field {name!r}; {hint}")
    try:
        config: TransformerConfig = config_class(**fields)
    except (TypeError, ValueError) as error:
        raise UserError(f"{source}: {error}") from error
    return config


class UndrawnWeights(TorchFunctionMode):
    """Skips the random initialisation of weights, which will be overwritten anyway."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in DRAWS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def build_model(
    fields: Mapping[str, Any],
    *,
    source: str,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> "Transformer":
    """The bound solution's Transformer in eval mode, its parameters uninitialised.

    torch's global generator is unchanged.

    Raises UserError for invalid fields and for an unavailable device.
    """
    config = config_from_fields(fields, source)
    with torch.random.fork_rng(devices=[]), UndrawnWeights():
        model: Transformer = binding.bound().Transformer(config)
    try:
        return model.to(device=device, dtype=dtype).eval()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n")[0].split(" device type at start")[0].rstrip(".")
        raise UserError(f"device {str(device)!r} cannot be used ({reason}); try cpu") from error


@torch.no_grad()
def fill(model: Model | nn.Module, tensors: Mapping[str, Tensor], *, source: str) -> None:
    """Copy tensors into the model's parameters; names and shapes must match exactly.

    Raises UserError, with every tensor that is missing, unexpected or of the wrong shape, and
    changes nothing then.
    """
    parameters = dict(model.named_parameters())
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    check_shapes(shapes, tensors, source)
    for name, parameter in parameters.items():
        parameter.copy_(tensors[name])


def check_shapes(
    expected: Mapping[str, tuple[int, ...]], tensors: Mapping[str, Tensor], source: str
) -> None:
    """Raises UserError unless the tensors have the expected names and shapes, and are floating."""
    wrong = [
        f"{name} {list(tensors[name].shape)} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    not_floating = [
        f"{name} ({str(tensor.dtype).removeprefix('torch.')})"
        for name, tensor in tensors.items()
        if name in expected and not tensor.is_floating_point()
    ]
    problems = [
        f"{problem} {_listed(names)}"
        for problem, names in (
            ("missing:", [name for name in expected if name not in tensors]),
            ("unexpected:", [name for name in tensors if name not in expected]),
            ("of the wrong shape:", wrong),
            ("not of floating-point numbers:", not_floating),
        )
        if names
    ]
    if problems:
        raise UserError(f"{source} does not fit the model; {'; '.join(problems)}")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, on the CPU.

    Raises UserError for a file that is missing, truncated, or of another format.
    """
    refuse_pipe(path)
    try:
        path.open("rb").close()  # safetensors reports an unreadable file as missing
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"there is no file {path}; check the folder") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        refuse_lfs_pointer(path)
        raise UserError(f"{path} is damaged ({error}); copy or download it again") from None
