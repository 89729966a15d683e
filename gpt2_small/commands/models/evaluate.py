"""Run `gpt2-small evaluate`: score a model on texts or on multiple-choice questions."""

import json
import math
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpt2_small.commands.options.chosen_model import described, open_chosen
from gpt2_small.commands.options.flags import Device, Dtype, Solution
from gpt2_small.commands.options.solution_of_run import bind_solution_of
from gpt2_small.commands.screens.score_lines import counting, print_line, print_rows, with_error
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.interrupts import loading

if TYPE_CHECKING:
    from gpt2_small.evaluation.text_scores import TextScore
    from gpt2_small.generation import LoadedModel

FORMAT = "gpt2-small-evaluation/1"
DEFINITION_CHOICES = ("completion", "harness", "both")


def evaluate(
    model: Annotated[
        str,
        typer.Argument(help="A run, Hugging Face folder or Hub name.", metavar="MODEL"),
    ],
    data: Annotated[
        str | None,
        typer.Option(help="Prepared shards (the held-out part) or a text.", metavar="PATH"),
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option(help="Advance windows by N tokens (default: no overlap).", metavar="N"),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column with the text.", metavar="NAME")
    ] = None,
    choices: Annotated[
        Path | None,
        typer.Option(help="Questions in HellaSwag's format, or stories.", metavar="FILE"),
    ] = None,
    definition: Annotated[
        str | None,
        typer.Option(help="completion, harness or both (default: both).", metavar="NAME"),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Answer the first N questions.", metavar="N")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write the numbers as JSON.", metavar="PATH")
    ] = None,
    device: Device = None,
    dtype: Dtype = "float32",
    solution: Solution = None,
) -> None:
    """Score a model: bits per byte on texts, accuracy on multiple choice.

    Example: gpt2-small evaluate runs/stories --data stories.txt
    """
    check_definition(definition)
    check_flags(
        {"--data": data, "--stride": stride, "--column": column},
        {"--choices": choices, "--definition": definition, "--limit": limit},
    )
    with loading():
        bind_solution_of(solution, model)
        from gpt2_small.evaluation.choices import read_questions
        from gpt2_small.files.report_files import writable
        from gpt2_small.generation.terminal_text import print_anything

    print_anything(sys.stdout)
    writable(json=json_path)
    questions = None if choices is None else read_questions(choices, limit)
    loaded, chosen_device = open_chosen(model, device, dtype)
    for line in (described(loaded.name, chosen_device), *loaded.remarks):
        print_line(line)
    report: dict[str, Any] = {"format": FORMAT, "model": model, "dtype": dtype}
    encoded = {} if questions is None else encode_questions(loaded, questions, definition)
    if data is not None:
        report |= print_text_score(loaded, data, stride, column)
    if questions is not None:
        report |= score_choices(loaded, questions, encoded)
    if json_path is not None:
        from gpt2_small.files.atomic import write_atomically

        write_atomically(json_path, json.dumps(report, indent=1) + "\n")
        print_line(f"Wrote {json_path}")


def check_flags(of_texts: dict[str, Any], of_choices: dict[str, Any]) -> None:
    """Refuse flags without the first of their group, before loading anything."""
    if of_texts["--data"] is None and of_choices["--choices"] is None:
        raise UserError("there is nothing to evaluate on; give --data PATH or --choices FILE")
    for group in (of_texts, of_choices):
        (first, needed), *others = group.items()
        for flag, value in others:
            if needed is None and value is not None:
                raise UserError(f"{flag} is for {first}; leave it out")


def check_definition(name: str | None) -> None:
    """Raises UserError for an unknown definition of accuracy."""
    if name is not None and name not in DEFINITION_CHOICES:
        known = f"give one of {', '.join(DEFINITION_CHOICES)}"
        guess = did_you_mean(name, DEFINITION_CHOICES, otherwise=known)
        raise UserError(f"definition is {name!r}; {guess}")


def print_text_score(
    loaded: "LoadedModel", data: str, stride: int | None, column: str | None
) -> dict[str, Any]:
    """Score a text, print the result and return its fields of the report."""
    from gpt2_small.evaluation.evaluation_texts import open_texts
    from gpt2_small.evaluation.text_scores import score_documents

    texts = open_texts(data, loaded.tokenizer, column=column)
    begun = time.perf_counter()
    with counting("tokens") as count:
        score = score_documents(
            loaded.model, texts.documents, loaded.tokenizer, stride=stride, progress=count
        )
    seconds = time.perf_counter() - begun
    print_line(f"Scored {texts.source}")
    print_rows(
        [
            *score_rows(score),
            ("first tokens", texts.first_tokens),
            ("time", f"{seconds:.1f} s"),
        ]
    )
    return {
        "data": str(data),
        "tokens": score.tokens,
        "bytes": score.bytes,
        "nats_per_token": score.nats_per_token,
        "interval": score.interval,
        "perplexity": score.perplexity if math.isfinite(score.perplexity) else None,
        "bits_per_byte": score.bits_per_byte,
        "windows": score.windows,
        "n_ctx": score.n_ctx,
        "stride": score.stride,
        "first_tokens": texts.first_tokens,
        "seconds": seconds,
    }


def score_rows(score: "TextScore") -> list[tuple[str, str]]:
    """The names and values of a text's score."""
    interval, bits = score.interval, score.bits_per_byte
    limits = "one window" if interval is None else f"{interval[0]:.4f} to {interval[1]:.4f}"
    return [
        ("nats per token", f"{score.nats_per_token:.4f}"),
        ("  95 % interval", limits),
        ("perplexity", f"{score.perplexity:,.2f}"),
        ("bits per byte", "no bytes" if bits is None else f"{bits:.4f}"),
        ("tokens", f"{score.tokens:,}"),
        ("bytes", f"{score.bytes:,}"),
        ("windows", f"{score.windows:,}, {windows_in_words(score.n_ctx, score.stride)}"),
    ]


def windows_in_words(n_ctx: int, stride: int) -> str:
    """Describe a text's windows."""
    if stride == n_ctx:
        return f"{n_ctx:,} tokens each, not overlapping"
    least = n_ctx - stride
    return f"each token after at least {least:,} of {n_ctx:,}, or all that come before it"


def encode_questions(
    loaded: "LoadedModel", questions: Any, definition: str | None
) -> dict[str, Any]:
    """Encode the questions by the definition, or by each that the vocabulary can express.

    Raises UserError for a chosen definition whose prompt has words that the vocabulary lacks.
    """
    from gpt2_small.evaluation.choices import DEFINITIONS, Inexpressible, check_scorable

    tokenizer, n_ctx = loaded.tokenizer, loaded.model.config.n_ctx
    names = DEFINITIONS if definition in (None, "both") else (definition,)
    found: dict[str, Any] = {}
    for name in names:
        try:
            found[name] = check_scorable(questions, name, tokenizer, n_ctx)
        except Inexpressible as error:
            # Without the prompt; it fails for words of the questions themselves.
            check_scorable(questions, "completion", tokenizer, n_ctx)
            leave_out(name, error, is_chosen=definition is not None)
    return found


def leave_out(name: str, error: UserError, *, is_chosen: bool) -> None:
    """Say that a definition is left out. Raises UserError if the user chose it."""
    reason = str(error).rpartition("; ")[0] or str(error)
    if is_chosen:
        raise UserError(
            f"the prompt of {name} has words that the vocabulary lacks ({reason}); give "
            "--definition completion"
        ) from error
    print_line(f"{name}: left out, its prompt cannot be encoded: {reason}")


def score_choices(loaded: "LoadedModel", questions: Any, encoded: dict[str, Any]) -> dict[str, Any]:
    """Answer multiple-choice questions, print the results and return their fields."""
    from gpt2_small.evaluation.choices import answer

    found: dict[str, Any] = {}
    begun = time.perf_counter()
    for name, prepared in encoded.items():
        with counting("endings") as count:
            result = answer(
                loaded.model, loaded.tokenizer, questions, name, progress=count, encoded=prepared
            )
        print_line(f"{name}: {result.examples:,} questions")
        print_rows(
            [
                ("acc", with_error(result.acc, result.acc_stderr)),
                ("acc_norm", with_error(result.acc_norm, result.acc_norm_stderr)),
                ("bits per byte of the right ending", f"{result.bits_per_byte:.4f}"),
            ]
        )
        fields = asdict(result)
        del fields["definition"], fields["examples"]
        found[name] = fields
    seconds = time.perf_counter() - begun
    print_rows([("time", f"{seconds:.1f} s")])
    return {"examples": len(questions), "choices": found, "choices_seconds": seconds}
