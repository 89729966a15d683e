"""Observe a module's parameters: names, shapes and initialisation."""

from collections.abc import Iterable
from types import ModuleType

from torch import Tensor, nn

from gpt2_small.checker.claims.judging.failure import Failure
from gpt2_small.checker.claims.observing import probes
from gpt2_small.checker.claims.observing.observation import Entry, Estimate, Observation
from gpt2_small.checker.claims.observing.renamings import renamings
from gpt2_small.checker.claims.observing.subject import Subject

# The end of an entry about a tensor that is not a parameter.
INSTEAD = " instead"
# The end of an entry about a missing parameter for which no other one stands.
ABSENT = " is absent"


def parameters(subject: Subject, module: ModuleType, _seed: int) -> Observation:
    """The shape of each parameter, what stands in place of a missing one, and which have nothing.

    Raises Failure that says what to rename.
    """
    expected = subject.contract()
    model = subject.fresh(module)
    actual = probes.shapes(model, expected)
    seen = {name: str(list(actual[name])) for name in expected if name in actual}
    seen = seen or {"the contract's parameters": "none"}
    missing = [name for name in expected if name not in actual]
    linear = [name for name, child in model.named_modules() if isinstance(child, nn.Linear)]
    untrained = {name: kind for name in missing if (kind := _untrained(model, name))}
    seen |= {f"{name}{INSTEAD}": kind for name, kind in untrained.items()}
    renamed = renamings(expected, actual).values()
    absent = [name for name in missing if name not in renamed and name not in untrained]
    seen |= {f"{name}{ABSENT}": "absent" for name in absent}
    if untrained:
        name, kind = next(iter(untrained.items()))
        raise Failure(
            f"in place of the parameter {name} there is {kind}, which is not trained; "
            "make it an nn.Parameter",
            seen,
        )
    if missing and linear:
        first, size = missing[0], probes.with_axes(expected[missing[0]])
        raise Failure(
            f"{linear[0]} is an nn.Linear, whose parameters have other names and whose weight is "
            f"[out in]; make them yourself: self.{first} = nn.Parameter(...) of the shape {size}",
            seen,
        )
    if missing:
        raise Failure(what_is_missing(expected, actual, missing), seen)
    for name, shape in expected.items():
        if actual[name] != shape:
            turned = " (it is transposed)" if actual[name] == shape[::-1] else ""
            raise Failure(
                f"{name} has the shape {probes.with_axes(actual[name])}{turned}; "
                f"it should be {probes.with_axes(shape)}",
                seen,
            )
    return seen


def _untrained(model: nn.Module, name: str) -> str:
    """What kind of tensor has a parameter's name without being one; empty without one."""
    owner: object = model
    *path, last = name.split(".")
    for step in path:
        owner = getattr(owner, step, None)
    tensor = getattr(owner, last, None)
    if not isinstance(owner, nn.Module) or not isinstance(tensor, Tensor) or tensor.requires_grad:
        return ""  # a property over a trained weight requires its gradient
    return "a buffer" if last in dict(owner.named_buffers(recurse=False)) else "a plain tensor"


def what_is_missing(
    expected: dict[str, tuple[int, ...]], actual: dict[str, tuple[int, ...]], missing: list[str]
) -> str:
    """The missing parameters, each with the unknown one that most likely stands for it."""
    meant = {wanted: name for name, wanted in renamings(expected, actual).items()}
    found = [f"rename {meant[name]} to {name}" for name in missing if name in meant]
    if found:
        return f"parameters have other names than in the contract: {', '.join(found)}"
    unknown = [f"{name} {list(shape)}" for name, shape in actual.items() if name not in expected]
    shown = [f"{name} {probes.with_axes(expected[name])}" for name in missing[:4]]
    more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
    has = f"; it has {', '.join(unknown[:4])}" if unknown else ""
    return f"there is no parameter {', '.join(shown)}{more}{has}"


def extras(subject: Subject, module: ModuleType, _seed: int) -> Observation:
    """Trainable tensors and saved buffers beyond the contract's, and frozen ones.

    A second name of a contract's parameter does not count.
    """
    model, expected = subject.fresh(module), subject.contract()
    own = probes.own_parameters(model, expected)
    known = {*expected, *renamings(expected, probes.shapes(model, expected))}
    extra = {name: list(p.shape) for name, p in own.items() if name not in known}
    frozen = [name for name, p in own.items() if not p.requires_grad]
    parameters = dict(model.named_parameters(remove_duplicate=False))
    state = model.state_dict()
    saved = [name for name in state if name not in parameters and name not in known]
    if extra:
        listed = ", ".join(f"{name} {shape}" for name, shape in extra.items())
        observed = {"extra": f"a parameter {_kinds(extra.values())}"}
        owner = _owner_of_all(model, list(extra))
        if owner:
            raise Failure(
                f"{owner} has weights of its own: {listed}; compute with the parameters of the "
                "contract instead",
                observed,
            )
        verb = "is" if len(extra) == 1 else "are"
        raise Failure(
            f"{listed} {verb} trainable and not in the contract; what is not trained is a plain "
            "attribute, or register_buffer(name, value, persistent=False)",
            observed,
        )
    if frozen:
        raise Failure(
            f"{', '.join(frozen)} cannot be trained: requires_grad is False", {"extra": "frozen"}
        )
    if saved:
        raise Failure(
            f"the state dict has {', '.join(saved)}, so that GPT-2's weights no longer load "
            "strictly; use register_buffer(name, value, persistent=False)",
            {"extra": f"a buffer {_kinds(list(state[name].shape) for name in saved)}"},
        )
    return {"extra": "nothing"}


def _kinds(shapes: Iterable[list[int]]) -> str:
    """Shapes without axes of size 1; a mask's size, which may be fixed, is not compared."""
    kinds = set()
    for shape in shapes:
        sizes = [size for size in shape if size != 1]
        is_mask = len(sizes) == 2 and sizes[0] == sizes[1] != probes.SIZES["d_model"]
        kinds.add("square" if is_mask else str(sizes))
    return ", ".join(sorted(kinds))


def _owner_of_all(model: nn.Module, names: list[str]) -> str:
    """The layer of torch that has all of these parameters, with its class; empty without one."""
    for name, child in model.named_modules():
        is_torchs = bool(name) and type(child).__module__.startswith("torch.nn.modules")
        if is_torchs and all(parameter.startswith(f"{name}.") for parameter in names):
            return f"the nn.{type(child).__name__} {name}"
    return ""


# Large enough for small standard errors, and different from every default.
_ROOMY = {
    "d_model": 48,
    "n_layers": 5,
    "n_heads": 3,
    "d_head": 16,
    "d_mlp": 80,
    "n_ctx": 60,
    "d_vocab": 211,
    "init_std": 0.03,
}


def fresh_parameters(subject: Subject, module: ModuleType, _seed: int) -> Observation:
    """Every parameter as initialised."""
    model, contract = subject.fresh(module, **_ROOMY), subject.contract(**_ROOMY)
    meant = renamings(contract, probes.shapes(model, contract))
    own = probes.own_parameters(model, contract).items()
    return {name: p.detach() for name, p in ((meant.get(n, n), p) for n, p in own)}


def statistics(subject: Subject, drawn: Observation) -> Observation:
    """Mean and standard deviation of every parameter, and matrices that equal another.

    Equal matrices were not drawn independently.
    """
    seen: dict[str, Entry] = {}
    copies = "parameters that start as copies of others"
    first: dict[bytes, str] = {}
    for name in subject.contract(**_ROOMY):
        parameter = drawn.get(name)
        if not isinstance(parameter, Tensor) or not parameter.numel():
            continue
        values, count = parameter.double(), parameter.numel()
        std = values.std(correction=0).item()
        seen[f"the mean of {name}"] = Estimate(values.mean().item(), std / count**0.5)
        seen[f"the standard deviation of {name}"] = Estimate(std, std / (2 * count) ** 0.5)
        twin = first.setdefault(parameter.float().numpy().tobytes(), name)
        if twin != name and std > 0:
            seen.setdefault(copies, f"{name} is a copy of {twin}")
    return {copies: "none", **seen}


def initial_statistics(subject: Subject) -> Observation:
    """GPT-2's initialisation: gains 1, biases 0, weights init_std, smaller for output matrices."""
    expected: dict[str, Entry] = {"parameters that start as copies of others": "none"}
    for name in subject.contract(**_ROOMY):
        last = name.split(".")[-1]
        std = _ROOMY["init_std"] if last.startswith("W") else 0.0
        if last in ("W_O", "W_out"):
            std /= (2 * _ROOMY["n_layers"]) ** 0.5
        expected[f"the mean of {name}"] = Estimate(1.0 if last == "w" else 0.0)
        expected[f"the standard deviation of {name}"] = Estimate(std)
    return expected
