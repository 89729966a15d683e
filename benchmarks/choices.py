"""Time multiple choice: our packed rows beside lm-evaluation-harness's `hf` model.

    python benchmarks/choices.py --examples 48
    python benchmarks/choices.py --examples 48 --choices hellaswag_val.jsonl

Both score the endings of the same examples by the definition `harness`, tokenising included, with
the same weights in float32, alternating in every round, and must agree. The harness (extra `eval`)
has batch_size 16 and logits_cache=False. Without a file the questions are random words, with
contexts of 20 to 80 words and endings of 10 to 40.
"""

import argparse
import random
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from measuring import circumstances, console, interleaved, median_ratio, write

from gpt2_small import binding
from gpt2_small.evaluation.choices import Question, answer, as_texts, read_questions
from gpt2_small.model.presets import PRESETS
from gpt2_small.model_protocol import Model
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.tokenizers.registry import make_tokenizer
from gpt2_small.weights import export_hugging_face

WIDE = dict(d_model=768, n_layers=4, n_heads=12, n_ctx=1024)
TINY = dict(d_model=32, n_layers=2, n_heads=2, n_ctx=512)
SHAPES = {"tiny": TINY, "four-layers": WIDE, "gpt2": PRESETS["gpt2"]}
SEED = 0


def made_up(count: int) -> list[Question]:
    """Return questions of random words, most of which are one token."""
    rng = random.Random(SEED)
    words = ("the", "a", "man", "woman", "dog", "ball", "water", "is", "then", "runs", "puts", "up")

    def text(least: int, most: int) -> str:
        return " ".join(rng.choices(words, k=rng.randint(least, most)))

    return [
        Question(context, context, "", "Playing", tuple(text(10, 40) for _ in range(4)), 0)
        for context in (text(20, 80) for _ in range(count))
    ]


def their_accuracy(model: Any, questions: list[Question]) -> float:
    """Return the accuracy by the harness's log-likelihoods."""
    requests, right = [], 0
    for question in questions:
        context, endings, _ = as_texts(question, "harness")
        requests += [SimpleNamespace(args=(context, f" {ending}")) for ending in endings]
    scores = iter(model.loglikelihood(requests, disable_tqdm=True))
    for question in questions:
        totals = [next(scores)[0] for _ in question.endings]
        right += totals.index(max(totals)) == question.label
    return right / len(questions)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="four-layers", choices=[*SHAPES])
    parser.add_argument("--tokenizer", default="gpt2")
    parser.add_argument("--choices", type=Path)
    parser.add_argument("--examples", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def built(shape: Mapping[str, Any], tokenizer: Tokenizer) -> Model:
    """A model of the bound solution with seeded weights."""
    solution = binding.bound()
    torch.manual_seed(SEED)
    config = solution.TransformerConfig(**{**shape, "d_vocab": tokenizer.d_vocab})
    model: Model = solution.Transformer(config)
    return model


def in_the_harness(model: Model, tokenizer: Tokenizer, device: str) -> Any:
    """The harness's `hf` model with the weights of a model."""
    from lm_eval.models.huggingface import HFLM

    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / "model"
        export_hugging_face(model, exported, tokenizer=tokenizer)
        return HFLM(
            pretrained=str(exported),
            device=device,
            dtype="float32",
            batch_size=16,
            logits_cache=False,
        )


def main() -> None:
    options = parse()
    count = options.examples
    questions = read_questions(options.choices, count) if options.choices else made_up(count)
    tokenizer = make_tokenizer(options.tokenizer)
    model = built(SHAPES[options.preset], tokenizer)
    theirs = in_the_harness(model, tokenizer, options.device)
    model.to(options.device)
    found: dict[str, float] = {}

    def ours() -> None:
        found["ours"] = answer(model, tokenizer, questions, "harness").acc

    def harness() -> None:
        found["harness"] = their_accuracy(theirs, questions)

    seconds = interleaved({"harness": harness, "ours": ours}, options.rounds, options.device)
    if found["ours"] != found["harness"]:
        raise SystemExit(f"the accuracies differ: {found}")
    ratio = median_ratio(seconds["harness"], seconds["ours"])
    median = {name: statistics.median(values) for name, values in seconds.items()}
    console.print(
        f"{options.preset}, {len(questions)} examples, float32: lm-eval's hf model takes "
        f"{median['harness']:.2f} s, answer {median['ours']:.2f} s: {ratio:.2f} times as fast "
        "(median of rounds)"
    )
    results = {"ratio": ratio, "accuracy": found, "seconds": seconds, "examples": len(questions)}
    write(options.json, circumstances(options.device) | results)


if __name__ == "__main__":
    main()
