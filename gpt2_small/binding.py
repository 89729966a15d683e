"""Bind the solution that everything runs on: the reference, or a learner's file."""

import dataclasses
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from gpt2_small import notebooks
from gpt2_small.errors import (
    ImportMissing,
    NameMissing,
    UserError,
    did_you_mean_beside,
    shell_word,
)
from gpt2_small.file_environment import prepared
from gpt2_small.files.special_files import refuse_pipe
from gpt2_small.notebook_definitions import needed_code
from gpt2_small.solution_errors import explain, wrong_encoding

SOLUTION_VARIABLE = "GPT2_SMALL_SOLUTION"
# Not the name of any file, in a checkout or a wheel, so that only `bind` registers this module.
BOUND_MODULE = "gpt2_small.bound_solution"

# The keys under which a run's config.json records the solution that trained it.
FILE_KEY, SHA256_KEY, REFERENCE = "solution", "solution_sha256", "reference"
# What a screen says of the reference.
THE_REFERENCE = "the reference, solution.py"

# The parts of a solution, in learning order.
PARTS = (
    "LayerNorm",
    "Embedding",
    "PositionalEmbedding",
    "MultiHeadAttention",
    "MLP",
    "TransformerBlock",
    "Unembedding",
    "Transformer",
    "next_token_loss",
    "sample",
    "generate",
    "learning_rate",
    "parameter_groups",
    "train_step",
    "train",
)
SOLUTION_NAMES = ("TransformerConfig", *PARTS, "StepResult", "TrainRecord")


def reference_path() -> Path:
    """The reference: inside an installed package, beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    packaged = package / "solution.py"
    return packaged if packaged.exists() else package.parent / "solution.py"


class Solution(ModuleType):
    """A solution file's module, which names the file when a part is missing."""

    def __getattr__(self, name: str) -> Any:
        if name not in SOLUTION_NAMES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        file = _from_here(solution_path(self))
        raise NameMissing(
            f"{file} has no {name}; write it there (gpt2-small check {shell_word(file)} judges "
            "its parts), or run without this file, on the reference"
        )


def load(path: str | Path) -> ModuleType:
    """Run a solution file and return it as a new module, without binding it.

    Raises UserError, with the file's line where there is one, for a file that is missing, is not
    Python, or stops with an exception while it is run.
    """
    return _execute(path, f"gpt2_small_solution_{_sha256(str(path).encode())[:8]}")


def bind(path: str | Path) -> ModuleType:
    """Make `gpt2_small` give its names from a file, here and in processes started later.

    For entry points and notebooks. Binding the same file again returns the same module.

    Raises UserError as `load` does, and when another file, or an earlier text of this one, is in
    use already.
    """
    path = Path(path).expanduser().resolve()
    module = sys.modules.get(BOUND_MODULE)
    if module is None:
        module = _execute(path, BOUND_MODULE)
        sys.modules[BOUND_MODULE] = module
        if path != reference_path() or SOLUTION_VARIABLE in os.environ:
            os.environ[SOLUTION_VARIABLE] = str(path)
        return module
    in_use = solution_path(module)
    if in_use != path:
        raise UserError(
            f"cannot bind {path}: {in_use} is in use already; start a new Python for it"
        )
    if sha256(module) != _sha256(read(path)):
        raise UserError(
            f"{path} has changed since it was bound; gpt2_small.check() checks the "
            "new text, and a new Python (in a notebook: restart the kernel) can bind it"
        )
    return module


def bound() -> ModuleType:
    """The solution in use; at first use, $GPT2_SMALL_SOLUTION or else the reference is bound."""
    module = sys.modules.get(BOUND_MODULE)
    return module or bind(os.environ.get(SOLUTION_VARIABLE) or reference_path())


def bound_name(name: str) -> Any:
    """A name of the solution in use.

    Raises NameMissing, with the file, when it has none; ImportMissing for `from ... import`, which
    replaces the message of an AttributeError.
    """
    try:
        return getattr(bound(), name)
    except NameMissing as error:
        if _is_from_import():
            raise ImportMissing(str(error)) from None
        raise


def _is_from_import() -> bool:
    """Whether the name is looked up for `from gpt2_small import`."""
    frame = sys._getframe(3)  # that of the lookup; above it: __getattr__, bound_name, this
    return frame.f_code.co_name == "_handle_fromlist"


def config_class() -> Any:
    """The TransformerConfig of the solution in use. Raises UserError unless it is a dataclass."""
    module = bound()
    found = module.TransformerConfig
    if isinstance(found, type) and dataclasses.is_dataclass(found):
        return found
    raise UserError(
        f"{_from_here(solution_path(module))}: TransformerConfig is not a dataclass; write "
        "@dataclass(frozen=True) above class TransformerConfig"
    )


def solution_path(module: ModuleType) -> Path:
    """The file that a solution module was loaded from."""
    return Path(str(module.__file__)).resolve()


def is_reference(module: ModuleType) -> bool:
    """Whether a solution module is the kit's own reference."""
    return solution_path(module) == reference_path()


def describe(module: ModuleType) -> str:
    """A solution described for the screen: its file and the first digits of its SHA-256."""
    path = solution_path(module)
    if is_reference(module):
        return THE_REFERENCE
    return f"{_from_here(path)} (sha256 {sha256(module)[:12]})"


def option(module: ModuleType) -> str:
    """The option that makes a command use this solution; empty for the reference."""
    path = solution_path(module)
    return "" if is_reference(module) else f" --solution {shell_word(_from_here(path))}"


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def sha256(module: ModuleType) -> str:
    """SHA-256, in hexadecimal, of the text that a solution module was made from."""
    return str(module.__dict__["SOURCE_SHA256"])


def source(module: ModuleType) -> bytes:
    """The text that a solution module was made from, even if its file has changed since."""
    text: bytes = module.__dict__["SOURCE"]
    return text


def training_record(module: ModuleType) -> dict[str, str]:
    """A run's record of its solution: the file, or `reference`, and its SHA-256.

    `check_trained_with` compares it when the weights are loaded.
    """
    file = REFERENCE if is_reference(module) else str(solution_path(module))
    return {FILE_KEY: file, SHA256_KEY: sha256(module)}


def check_trained_with(
    record: Mapping[str, Any], source: str | Path, stored: Path | None = None
) -> str | None:
    """Compare the solution that trained some weights with the one in use.

    Weights trained with the reference, and downloaded weights, run with any solution. Weights
    trained with another file run with that file alone, which may be a different model.

    record: `training_record` of the solution that trained them.
    source: the run or folder of the weights, for the message.
    stored: a copy of the solution file, to bind when the file itself is gone.

    Returns a remark when an older record does not name the solution, else None. Raises UserError,
    with the file, for weights trained with another file.
    """
    module, trained_by, trained_sha256 = bound(), record.get(FILE_KEY), record.get(SHA256_KEY)
    if trained_sha256 in (None, sha256(module)) or trained_by == REFERENCE:
        return None
    if trained_by is None:
        return (
            f"{source} was trained with a solution of sha256 {str(trained_sha256)[:12]}, which is "
            f"not {describe(module)}; where that was a file of your own, give it with --solution"
        )
    file = stored if stored is not None and stored.is_file() else trained_by
    raise UserError(
        f"{source} was trained with {trained_by} (sha256 {str(trained_sha256)[:12]}), not "
        f"with {describe(module)}; add --solution {shell_word(file)}"
    )


def _execute(path: str | Path, module_name: str) -> ModuleType:
    path = Path(path).expanduser()
    return execute(read(path), path, module_name, Solution)


def execute(
    source: bytes, path: Path, module_name: str, kind: type[ModuleType] = ModuleType
) -> ModuleType:
    """Run the text of a file as a module of this name and kind.

    Torch's global settings, such as `torch.set_grad_enabled(False)`, are restored afterwards.

    Raises UserError as `load` does.
    """
    module = kind(module_name)
    module.__file__ = str(path.absolute())
    module.__package__ = ""  # in no package, so that a relative import fails without a warning
    module.__dict__["SOURCE"], module.__dict__["SOURCE_SHA256"] = source, _sha256(source)
    sys.modules[module_name] = module  # where dataclasses resolve annotations
    try:
        with prepared(module, source):
            exec(compile(source, module.__file__, "exec"), module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise UserError(explain(path, error, source)) from error
    finally:
        sys.modules.pop(module_name, None)
    return module


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read(path: Path) -> bytes:
    """The Python code of a solution file or notebook (`notebooks.python_of` joins its cells).

    Raises UserError, with the nearest name, for a missing file.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the Python file with your solution")
    refuse_pipe(path)
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        names = [p.name for p in path.parent.glob("*.py")] if path.parent.is_dir() else []
        hint = did_you_mean_beside(path, names, otherwise="check the name")
        raise UserError(f"there is no file {path}; {hint}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    return python_of(path, source)


def python_of(path: Path, source: bytes) -> bytes:
    """The Python code in a file's bytes; of a notebook or its export, what the parts need.

    Raises UserError for other content.
    """
    if wrong := wrong_encoding(source):
        raise UserError(f"{path} is not a Python file: it {wrong}; save it as UTF-8")
    if notebooks.is_notebook(path):
        source = notebooks.python_of(path, source)
    elif not notebooks.is_export(source):
        return source
    if notebooks.LESSON_MARK.encode() in source:
        return source
    return needed_code(source, SOLUTION_NAMES) or source
