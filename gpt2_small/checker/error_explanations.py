"""Explain exceptions in sentences: sizes, operands, advice, and refusals by the file itself."""

import errno
import re
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from gpt2_small.checker.failed_expressions import (
    attributes_of,
    lost_axis,
    operands,
    raises,
    what_is_none,
)

_LONGEST = 300
# torch.multinomial's errors: negative or not finite probabilities, and rows of zeros.
_NOT_PROBABILITIES = ("probability tensor contains", "entry < 0", "infinity or NaN")
_NOTHING_TO_DRAW = "invalid multinomial distribution"

_LINEAR = {24: "d_model", 29: "d_vocab"}
_MODULE = {2: "batch", 11: "seq", 22: "batch*seq", 40: "d_mlp", 12: "n_ctx", **_LINEAR,
           72: "3*d_model", 96: "4*d_model"}  # fmt: skip
# The axes with the sizes of a part's first call, the gate; other sizes have several meanings.
_SIZES_OF_GATES: dict[str, dict[int, str]] = {
    "MultiHeadAttention": _MODULE | {3: "head", 8: "d_head"},
    "next_token_loss": {2: "batch", 11: "seq", 10: "seq - 1", 22: "batch*seq",
                        20: "batch*(seq - 1)", 29: "d_vocab"},
    "generate": {3: "batch", 4: "seq", 12: "n_ctx", **_LINEAR},
    "train_step": {2: "batch", 7: "seq + 1", 6: "seq", **_LINEAR},
    "sample": {}, "train": {}, "learning_rate": {}, "parameter_groups": {},
}  # fmt: skip
_MODULES = ("LayerNorm", "Embedding", "PositionalEmbedding", "MLP", "TransformerBlock",
            "Unembedding", "Transformer")  # fmt: skip

_ABOUT_SIZES = re.compile(
    r"\b(size|sizes|shape|shapes|dimensions?|mat1|mat2|broadcast|axis|axes|subscript|index|unpack|"
    r"batch_size|length|dims)\b",
    re.IGNORECASE,
)
# Sizes in torch's and einops's errors; other numbers are axes, counts or indices.
_A_SIZE = re.compile(
    r"\b(?:size|length|batch_size)(?: of)? \(?(\d+)|\b(\d+)(?=x\d)|(?<=x)(\d+)\b"
    r"|tensor [ab]? ?\((\d+)\)|(?:input|vec|size|batch_size) \((\d+)\)|\[((?:\d+, ?)*\d+)\]"
)
_EQUAL_DTYPES = (
    "two dtypes meet: the input of a check may be float64, and a tensor made without dtype= is "
    "float32; make it with the dtype and device of the input"
)
_NOT_A_TRUTH = (
    "if, and, or and not take one truth value, and this tensor has several; use .all(), .any() "
    "or torch.where"
)
_A_RETURN = "the result of an earlier call is None; is a return missing there?"
# Words of an error, and what they mean.
_ADVICE = (
    (r"mat1 and mat2 shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x\2\)",
     r"the two inner sizes, \2 and \3, must be equal; transpose the second matrix"),
    (r"mat1 and mat2 shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)",
     r"the two inner sizes, \2 and \3, must be equal"),
    (r"too many values to unpack \(expected (\d+)",
     r"the value has more than \1 parts; a shape has as many parts as its tensor has axes"),
    (r"not enough values to unpack \(expected (?:at least )?(\d+), got (\d+)\)",
     r"the value has \2 parts where \1 are needed; a shape has as many as its tensor has axes"),
    (r"expected scalar type Long|[Ee]xpected tensor for argument #\d 'indices' to have one of|"
     r"tensors used as indices must be",
     "indices are integers: a tensor of int64, or of bool as a mask"),
    (r"expected scalar type \w+ but found|must have the same dtype|to have the same dtype",
     _EQUAL_DTYPES),
    (r"Boolean value of Tensor with more than one value", _NOT_A_TRUTH),
    (r"cannot be converted to (?:a )?(?:Python )?[Ss]calar|only one element tensors can be",
     "one number is needed, and the tensor has several elements"),
    (r"index out of range in self|index \d+ is out of bounds for dimension",
     "an index is as large as the axis that it selects from, or larger"),
    (r"'NoneType' object|operand type.* 'NoneType'|not NoneType", _A_RETURN),
    (r"modified by an inplace operation|leaf Variable that requires grad is being used",
     "write y = y + x: y += x changes a tensor whose old values are still needed"),
    (r"does not require grad and does not have a grad_fn",
     "no gradient reaches it: it was detached, or computed under no_grad"),
    (r"index (\d+) is out of range",
     r"there are at most \1, counted from 0"),
    (r"Module \[(Module(?:List|Dict))\] is missing the required",
     r"a \1 cannot be called; call each of its modules in turn"),
    (r"'(?:Parameter|Tensor)' object is not callable",
     "a tensor is not a layer: multiply with @ or einsum"),
)  # fmt: skip


def explain_error(
    error: BaseException, part: str = "", *, is_gate: bool = False, module: ModuleType | None = None
) -> str:
    """Explain an exception in one sentence.

    part: the part that raised it, in its first call if is_gate. module: the file's module.
    """
    reason = " ".join(str(error).split())
    if len(reason) > _LONGEST:
        reason = reason[:_LONGEST] + " ..."
    match error:
        case SystemExit():
            return "it calls exit(); return or raise instead"
        case RecursionError():
            return "infinite recursion (RecursionError)"
        case OSError(errno=errno.EFBIG):
            return "it prints without end"
        case MemoryError():
            return "it needs more memory than it may have"
        case EOFError():
            return f"it waits for input, which a part cannot have (EOFError: {reason})"
        case RuntimeError() if "DefaultCPUAllocator" in reason or "enough memory" in reason:
            return f"it needs more memory than it may have ({reason})"
        case RuntimeError() if any(words in reason for words in _NOT_PROBABILITIES):
            return (
                "RuntimeError in torch.multinomial: it takes probabilities, and some number is "
                "negative (as logits are without a softmax) or not finite (as the softmax of a row "
                "without any finite logit is)"
            )
        case RuntimeError() if _NOTHING_TO_DRAW in reason:
            return (
                "RuntimeError in torch.multinomial: the probabilities of a row are all 0, so that "
                "nothing can be drawn"
            )
    kind = type(error).__name__
    if module is not None and is_own_refusal(module, error):
        said = f"{kind}: {reason.rstrip('.')}; your" if reason else f"{kind}: your"
        return f"{said} own check stops it, but the input is valid{_arguments(module, error)}"
    if not reason:
        return f"it raises {kind}"
    reason = reason.rstrip(".")
    return f"{kind}: {reason}{_gloss(reason, part, is_gate, module, error)}"


def is_not_written(module: ModuleType, error: BaseException) -> bool:
    """Whether an exception is a NotImplementedError of unwritten code, not one of torch.

    Torch raises it for a class without `forward`, which is unwritten if the file defines it.
    """
    trace = error.__traceback__
    if not isinstance(error, NotImplementedError) or trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    frame = trace.tb_frame
    if str(frame.f_globals.get("__name__", "")).split(".")[0] == "torch":
        owner = frame.f_locals.get("self")
        return isinstance(owner, nn.Module) and type(owner).__module__ == module.__name__
    return raises(trace)


def is_own_refusal(module: ModuleType, error: BaseException) -> bool:
    """Whether a `raise` or `assert` in the module's file raised the exception."""
    if isinstance(error, NotImplementedError) or not isinstance(error, Exception):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code.co_filename != str(module.__file__):
        return False
    return raises(trace)


def _gloss(
    reason: str, part: str, is_gate: bool, module: ModuleType | None, error: BaseException
) -> str:
    """The meaning of an error's sizes, its line's tensors, and advice, as clauses."""
    notes = []
    if _ABOUT_SIZES.search(reason):
        notes += sizes_in(reason, part, is_gate=is_gate)
        if module is not None:
            notes += operands(module, error)
    said = f" (here {', '.join(notes)})" if notes else ""
    for words, advice in _ADVICE:
        if found := re.search(words, reason):
            meaning = found.expand(advice)
            if advice == _A_RETURN and module is not None:
                meaning = what_is_none(module, error) or meaning
            return f"{said}: {meaning}"
    if module is not None and (missing := lost_axis(module, error)):
        return f"{said}: {missing}"
    return said + (attributes_of(error) if isinstance(error, AttributeError) else "")


def sizes_in(reason: str, part: str, *, is_gate: bool) -> list[str]:
    """The axes of the sizes in an error, where a size has one meaning: `24 is d_model`."""
    known = sizes_of(part, is_gate=is_gate)
    words = re.sub(r"[Dd]imension (?:out of range.*|\d+)|number of [^()]*\(\d+\)", "", reason)
    found = [n for groups in _A_SIZE.findall(words) for n in re.findall(r"\d+", " ".join(groups))]
    numbers = dict.fromkeys(map(int, found))
    return [f"{number} is {known[number]}" for number in numbers if number in known]


def sizes_of(part: str, *, is_gate: bool) -> dict[int, str]:
    """The axes of the sizes that have one meaning in a part's call."""
    if part in _MODULES or part in _SIZES_OF_GATES:
        known = _SIZES_OF_GATES.get(part, _MODULE)
        return known if is_gate else {n: axis for n, axis in known.items() if n in _LINEAR}
    return {}


def _arguments(module: ModuleType, error: BaseException) -> str:
    """The arguments of the file's outermost call in a traceback: `: tokens [2 12]`."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != str(module.__file__):
        trace = trace.tb_next
    if trace is None:
        return ""
    code, values = trace.tb_frame.f_code, trace.tb_frame.f_locals
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    said = [text for name in names if (text := _argument(name, values.get(name)))]
    n_ctx = _n_ctx(values)
    where = f", where n_ctx is {n_ctx}" if n_ctx is not None and said else ""
    return f": {', '.join(said)}{where}" if said else ""


def _argument(name: str, value: object) -> str:
    if isinstance(value, Tensor) and value.dim():
        return f"{name} [{' '.join(map(str, value.shape))}]"
    return f"{name}={value:g}" if isinstance(value, (int, float)) else ""


def _n_ctx(values: dict[str, Any]) -> int | None:
    """The context length, if an argument is a model or module that has one."""
    for name in ("self", "model"):
        owner = vars(values[name]) if isinstance(values.get(name), nn.Module) else {}
        for holder in (owner, vars(owner["config"]) if "config" in owner else {}):
            if isinstance(holder.get("n_ctx"), int):
                return int(holder["n_ctx"])
    return None
