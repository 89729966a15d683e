"""Read the values in the expression of a file that raised an exception."""

import dis
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any

from torch import Tensor, nn


def operands(module: ModuleType, error: BaseException) -> list[str]:
    """The shapes of the tensors in the failed expression of the file: `x is [2 11 24]`."""
    trace = _innermost(module, error)
    if trace is None:
        return []
    frame = trace.tb_frame
    shapes = {
        name: "[" + " ".join(map(str, value.shape)) + "]"
        for name, value in _tensors(frame, trace.tb_lasti).items()
    }
    return [f"{name} is {shape}" for name, shape in shapes.items()][:4]


def what_is_none(module: ModuleType, error: BaseException) -> str:
    """The name that is None in the failed expression of the file; empty if it has none."""
    trace = _innermost(module, error)
    if trace is None:
        return ""
    code = trace.tb_frame.f_code
    given = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    values = _values(trace.tb_frame, trace.tb_lasti)
    name = next((name for name, value in values.items() if value is None), "")
    if not name or name in given or "." in name:
        return f"{name} is None here" if name else ""
    return f"{name} is None; is a return missing where it is made?"


def lost_axis(module: ModuleType, error: BaseException) -> str:
    """Advice about a tensor that lacks the last axis of another one in the failed expression."""
    trace = _innermost(module, error)
    if trace is None or "must match the size" not in str(error):
        return ""
    tensors = _tensors(trace.tb_frame, trace.tb_lasti)
    for name, value in tensors.items():
        if value.dim() > 1 and any(
            value.dim() == other.dim() - 1 and value.shape == other.shape[:-1]
            for other in tensors.values()
        ):
            return f"{name} lacks the last axis; reduce with keepdim=True"
    return ""


def attributes_of(error: AttributeError) -> str:
    """The inner modules of a module whose attribute is missing, as a clause."""
    owner = error.obj
    if not isinstance(owner, nn.Module):
        return ""
    own = [*owner._parameters, *owner._modules]
    own = [name for name in own if not name.startswith("hook_") or str(error.name)[:4] == "hook"]
    return f"; it has {', '.join(own)}" if own else ""


def raises(trace: TracebackType) -> bool:
    """Whether the instruction of a traceback's entry is a `raise` or `assert`."""
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _innermost(module: ModuleType, error: BaseException) -> TracebackType | None:
    """The innermost entry of a traceback that is in the module's file."""
    trace, found = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(module.__file__):
            found = trace
        trace = trace.tb_next
    return found


def _tensors(frame: FrameType, at: int) -> dict[str, Tensor]:
    """The local tensors, and those of self, in the lines of the instruction at this offset."""
    values = _values(frame, at).items()
    return {name: value for name, value in values if isinstance(value, Tensor)}


def _values(frame: FrameType, at: int) -> dict[str, Any]:
    """The local variables, and the attributes of self, in the lines of an instruction."""
    found: dict[str, Any] = {}
    owner: Any = None
    for instruction in _instructions_beside(frame.f_code, at):
        names = instruction.argval
        if instruction.opname.startswith("LOAD_FAST"):
            for name in names if isinstance(names, tuple) else (names,):
                owner = frame.f_locals.get(name) if name == "self" else None
                if name in frame.f_locals:
                    found[name] = frame.f_locals[name]
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and isinstance(owner, nn.Module):
            own = {**vars(owner), **owner._parameters, **owner._buffers}
            if names in own:
                found[f"self.{names}"] = own[names]
            owner = None
        else:
            owner = None
    return found


def _instructions_beside(code: CodeType, at: int) -> list[dis.Instruction]:
    """The instructions in the lines of the instruction at this offset."""
    every = list(dis.get_instructions(code))
    here = next((i.positions for i in every if i.offset == at), None)
    if here is None or here.lineno is None or here.end_lineno is None:
        return []
    lines = range(here.lineno, here.end_lineno + 1)
    return [i for i in every if i.positions is not None and i.positions.lineno in lines]
