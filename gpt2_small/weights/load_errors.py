"""Explain why a file or folder cannot be loaded as a model."""

import re
import struct
from pathlib import Path

from gpt2_small.errors import counted
from gpt2_small.files.json_files import read_json_object
from gpt2_small.files.lfs_pointers import refuse_lfs_pointer
from gpt2_small.files.special_files import refuse_pipe
from gpt2_small.runs.checkpoint_folders import WEIGHTS
from gpt2_small.runs.folder import CONFIG, is_run

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")

# The first four bytes of .bin files that are not pickles.
LLAMA_CPP = {
    b"GGUF": "a GGUF file of llama.cpp",
    b"lmgg": "a file of an old llama.cpp (ggml)",
    b"fmgg": "a file of an old llama.cpp (ggmf)",
    b"tjgg": "a file of an old llama.cpp (ggjt)",
    b"algg": "an adapter of llama.cpp (ggla)",
}
# https://github.com/karpathy/llm.c: train_gpt2.py writes these numbers first.
LLM_C = {
    20240326: "a checkpoint of llm.c",
    20240327: "a debug state of llm.c",
    20240520: "a shard of tokens of llm.c",
    20240522: "an evaluation of llm.c",
    20240328: "a tokenizer of llm.c",
}
OTHER_FRAMEWORKS = {
    "tf_model.h5": "TensorFlow",
    "flax_model.msgpack": "Flax",
    "rust_model.ot": "rust-bert",
    "*.onnx": "ONNX",
    "*.mlpackage": "Core ML",
    "model.ckpt*.index": "TensorFlow",
}
GIVE_THE_SOURCE = "give the Hugging Face folder or the run that it was made from"
SHOWN = 3


def explain_file(path: Path) -> str:
    """Explain why a file cannot be loaded, by its first bytes and its name.

    Raises UserError for a pipe and for a Git LFS pointer.
    """
    refuse_pipe(path)
    refuse_lfs_pointer(path)
    try:
        with path.open("rb") as file:
            first = file.read(64)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror or error}"
    if kind := LLAMA_CPP.get(first[:4]) or LLM_C.get(_first_number(first)):
        return f"{path} is {kind}, which is not read; {GIVE_THE_SOURCE}"
    if _is_pickle(first):
        return pickle_sentence(path)
    if path.suffix.lower() in PICKLES:
        return (
            f"{path} is neither safetensors nor another known format; give the folder of a run or "
            "of a Hugging Face GPT-2"
        )
    return f"{path} is a file; give the folder it is in"


def explain_folder(folder: Path) -> str | None:
    """Explain why a folder without config.json cannot be loaded; None for unknown content."""
    if (folder / "adapter_config.json").is_file():
        return _of_an_adapter(folder)
    steps = [path for path in folder.glob("checkpoint-*") if (path / CONFIG).is_file()]
    if steps:
        last = max(steps, key=_step)
        return f"{folder} holds {counted(len(steps), 'checkpoint')} of a Trainer; give {last}"
    snapshots = sorted(folder.glob(f"snapshots/*/{CONFIG}"))
    if snapshots:
        return f"{folder} is a model in the Hub's cache; give {_newest(snapshots).parent}"
    cached = sorted(folder.glob("models--*")) or sorted(folder.glob("hub/models--*"))
    if cached:
        names = [path.name.removeprefix("models--").replace("--", "/") for path in cached]
        return f"{folder} is the Hub's cache; give a model by its name: {_listed(names)}"
    runs = sorted(path for path in folder.glob("*") if path.is_dir() and is_run(path))
    if runs:
        return f"{folder} is a folder of runs; give one of them: {_listed(map(str, runs))}"
    files = sorted(folder.glob("*.gguf"))
    return explain_file(files[0]) if files else None


def explain_missing_weights(folder: Path) -> str:
    """Explain why a folder with a config.json has no weights that can be read."""
    broken = [path for path in sorted(folder.iterdir()) if path.is_symlink() and not path.exists()]
    weights = [path for path in broken if path.suffix in (".safetensors", *PICKLES)]
    if weights:
        return f"{weights[0]} {dangling(weights[0])}; download the model again"
    if (folder / "adapter_config.json").is_file():
        return _of_an_adapter(folder)
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    weights = [path for path in files if path.suffix.lower() in (*PICKLES, ".gguf")]
    not_weights = ("training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth")
    weights = [path for path in weights if path.name not in not_weights] or weights
    if weights:
        return explain_file(weights[0])
    for pattern, framework in OTHER_FRAMEWORKS.items():
        if any(folder.glob(pattern)):
            return f"{folder} holds only weights of {framework}; save them as safetensors"
    return f"{folder} has no weights; it needs {WEIGHTS}, or {WEIGHTS}.index.json with its files"


def dangling(path: Path) -> str:
    """Describe a symbolic link without a target, as a clause after its name."""
    return f"is a link to {path.readlink()}, which is not there"


def pickle_sentence(path: Path) -> str:
    """Explain why a pickle is not loaded, with the way out."""
    return (
        f"{path} is a pickle, which can run any program when it is loaded, so it is not loaded; "
        "ask its owner for safetensors, or convert it yourself in a container"
    )


def _of_an_adapter(folder: Path) -> str:
    base = read_json_object(folder / "adapter_config.json").get("base_model_name_or_path")
    return (
        f"{folder} holds a PEFT adapter to {base}, not a whole model; merge it "
        "(merge_and_unload) and save the merged model"
    )


def _is_pickle(first: bytes) -> bool:
    """Whether bytes begin like one of torch's zip archives or a pickle of protocol 0 or 2 to 5."""
    return first[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") or (
        first[:1] in (b"(", b"c", b"]", b"}") and b"\n" in first
    )


def _first_number(first: bytes) -> int:
    return struct.unpack("<i", first[:4])[0] if len(first) >= 4 else 0


def _step(folder: Path) -> int:
    number = re.search(r"\d+$", folder.name)
    return int(number[0]) if number else -1


def _newest(paths: list[Path]) -> Path:
    return max(paths, key=lambda path: path.stat().st_mtime)


def _listed(names: "map[str] | list[str]") -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
