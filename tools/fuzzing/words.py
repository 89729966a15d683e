"""List the words that random command lines are made of: numbers, texts, files, known names."""

import functools

from small_runs import flags

from gpt2_small.checker.exercise_set import GPT2
from gpt2_small.checker.exercise_sets import lesson_folders
from gpt2_small.checker.layouts import LAYOUTS
from gpt2_small.checker.variants import EDITS
from gpt2_small.training.recipes.training_presets import PRESETS


def words(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


NUMBERS = (
    *words("0 1 2 3 -1 -0 0.5 1e-3 1e30 1e-46 5e-324 nan inf -inf 1000000000"),
    *("18446744073709551616", "1" + "0" * 30, "", " ", "one", "0x10", "1_0"),
)
TEXTS = (
    *("", " ", "KING", "KING:\n", "a" * 300, "/" * 40, "m[/b]x", "m[exp1]", "[red]", "😀", "你好"),
    *("\x1b[31m", "a\udcff", "\ufeff", "\u202e", "-", "--", "--help", "%s", "{}", "$(date)", "a b"),
    *("\t", "hub:none/none", "gpt2", "stories", "byte", "char", "bpe:300", "bpe:0", "none"),
    *("true", "1,2", "nanogpt,", "rotary,rotary"),
)
FILES = (
    *words("play.txt run shards export chats chat-run rows.jsonl talks.jsonl choices.jsonl"),
    *words("begun.py lesson.py my_gpt2.py wrong.py empty new nowhere/x . /dev/null loop"),
    *("dangling", "binary", "folder", "class", "tasks", "x" * 300),
)
ASSIGNMENTS = (
    *words("d_model=16 n_layers=1 n_heads=3 n_ctx=0 dropout=2 beta2=nan keep=0 d_model="),
    *words("= d_model dtype=float64 schedule=constant order=epochs seed=-1 a=b max_steps=1e3"),
    *words("compile=perhaps skip_spikes=2 n_layers=1000000000 init_std=1e38 choices=stories"),
    *words("choices=choices.jsonl choices_every=1 epochs=1 evaluation_tokens=1 d_vocab=3"),
)
# Arguments that keep a command's case small and let it get past its checks.
USUAL: dict[str, list[str]] = {
    "train": ["--preset", "characters", "--data", "play.txt", "--out", "new", *flags(max_steps=2)],
    "prepare": ["play.txt", "--out", "new"],
    "sample": ["--model", "run", "--prompt", "KING", "--max-new-tokens", "4"],
    "export": ["run", "new"],
    "chat": ["chat-run", "Hello", "--max-new-tokens", "4"],
    "evaluate": ["run", "--data", "play.txt"],
    "lm-eval": ["run", "--tasks", "hellaswag", "--limit", "1"],
    "check": ["begun.py"],
    "watch": ["begun.py"],
    "variant": ["--with", "rotary", "--out", "new.py"],
    "start": ["new.py"],
    "show": ["LayerNorm"],
    "hint": ["LayerNorm"],
    "grade": ["class"],
    "app": ["run", "--no-browser"],
    "serve": ["run"],
    "plan": ["--preset", "gpt2"],
}


@functools.cache
def values_of(parameter: str) -> tuple[str, ...]:
    """Return the values that a parameter accepts, by its name in Python; none if it takes any."""
    parts = GPT2.parts
    edits = tuple(edit.id for edit in EDITS)
    known: dict[str, tuple[str, ...]] = {
        "lesson": tuple(lesson_folders()),
        "component": parts,
        "part": parts,
        "as_": (*edits, ",".join(edits[:2]), ",".join(edits)),
        "with_": edits,
        "layout": tuple(LAYOUTS),
        "preset": tuple(PRESETS),
        "kind": ("bin", "npy"),
        "tokenizer": ("gpt2", "byte", "char", "bpe:300", "gpt2-chat", "byte-chat"),
        "from_": ("oasst", "messages", "sharegpt", "alpaca"),
        "text": ("dialogues", "stories", "hellaswag", "talks.jsonl", "chats", "shards", "folder"),
        "lang": ("en", "de"),
        "paths": ("best", "all"),
        "split": ("tree", "path", "train"),
        "too_long": ("drop-turns", "drop"),
        "definition": ("completion", "harness", "both"),
        "tasks": ("hellaswag", "broken", "none"),
        "device": ("cpu", "cuda", "cuda:9", "mps", "meta"),
        "dtype": ("float32", "bfloat16", "float16"),
        "model": ("run", "chat-run", "export", "gpt2"),
        "data": ("play.txt", "shards", "chats", "stories", "rows.jsonl"),
        "choices": ("choices.jsonl", "stories"),
        "init_from": ("run", "chat-run", "export"),
    }
    return known.get(parameter, ())
