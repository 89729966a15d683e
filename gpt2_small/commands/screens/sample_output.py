"""Print continuations and scores, and write them as JSON."""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from gpt2_small import binding
from gpt2_small.commands.screens.standard_error import print_to_stderr
from gpt2_small.errors import UserError
from gpt2_small.files.atomic import write_atomically
from gpt2_small.generation import Continuation, LoadedModel, ScoredToken, Stream
from gpt2_small.generation.terminal_text import print_anything, visible

FORMAT = "gpt2-small-sample/1"
TO_STANDARD_OUTPUT = Path("-")


def run_stream(prompts: Sequence[str], stream: Stream, *, quiet: bool = False) -> bool:
    """Draw every continuation and print it after its prompt; False if interrupted.

    Several are printed one after the other; the first one streams.

    prompts: as displayed.
    quiet: print nothing.
    """
    print_anything(sys.stdout)
    printer = ContinuationPrinter(prompts, [] if quiet else stream.rows)
    try:
        printer.update()
        for _ in stream:
            printer.update()
    except KeyboardInterrupt:
        for row in stream.rows:
            row.interrupt()
        printer.update()
        print_to_stderr("interrupted")
    except UserError:
        printer.end_line()
        raise
    return all(row.finish != "interrupted" for row in stream.rows)


class ContinuationPrinter:
    """Prints continuations that are drawn as one batch, one after the other."""

    def __init__(self, prompts: Sequence[str], rows: Sequence[Continuation]) -> None:
        self._prompts, self._rows = prompts, rows
        self._current = 0
        self._printed: int | None = None

    def update(self) -> None:
        """Print the new text of the current continuation; then the next ones."""
        while self._current < len(self._rows):
            row = self._rows[self._current]
            if self._printed is None:
                title = f"--- {self._current + 1} of {len(self._rows)}\n"
                self._print((title if len(self._rows) > 1 else "") + self._prompts[row.prompt])
                self._printed = 0
            new, self._printed = row.text[self._printed :], len(row.text)
            self._print(new)
            if row.finish is None:
                return
            self._print("\n")
            self._current, self._printed = self._current + 1, None

    def end_line(self) -> None:
        """End the line of a continuation that breaks off."""
        if self._printed is not None:
            self._print("\n")

    def _print(self, text: str) -> None:
        if sys.stdout is not None:  # None if it was closed
            sys.stdout.write(visible(text) if sys.stdout.isatty() else text)
            sys.stdout.flush()


def print_scores(scored: Sequence[ScoredToken]) -> None:
    """Print each token's log-probability, then their sum, mean and perplexity."""
    print_anything(sys.stdout)
    for token in scored:
        text = json.dumps(token.text, ensure_ascii=False)
        typer.echo(f"{token.log_probability:10.4f}  {visible(text)}")
    total = math.fsum(token.log_probability for token in scored)
    mean = total / len(scored)
    try:
        perplexity = f"{math.exp(-mean):,.4g}"
    except OverflowError:
        perplexity = "infinite"
    typer.echo(
        f"{total:10.4f}  nats in {len(scored):,} tokens, {mean:.4f} a token: "
        f"perplexity {perplexity}"
    )


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write the report as JSON to a file, or to standard output for `-`."""
    bound = binding.bound()
    text = json.dumps(
        {
            "format": FORMAT,
            "solution": str(binding.solution_path(bound)),
            "sha256": binding.sha256(bound),
            **report,
        },
        indent=1,
    )
    if path == TO_STANDARD_OUTPUT:
        typer.echo(text)
    else:
        write_atomically(path, text + "\n")


def prompts_report(prompts: Sequence[str], ids: Sequence[Sequence[int]]) -> dict[str, Any]:
    """One prompt and its tokens, or a list of several."""
    each = [
        {"prompt": prompt, "prompt_tokens": list(tokens)}
        for prompt, tokens in zip(prompts, ids, strict=True)
    ]
    return each[0] if len(each) == 1 else {"prompts": each}


def samples_report(stream: Stream, loaded: LoadedModel) -> dict[str, Any]:
    """Every continuation with the log-probabilities and candidates of its tokens.

    "prompt" is the index of its prompt.
    """
    return {
        "options": asdict(stream.options),
        "samples": [
            {
                "prompt": row.prompt,
                "text": row.text,
                "finish": row.finish,
                "tokens": [
                    {
                        "id": step.id,
                        "text": loaded.tokenizer.decode([step.id]),
                        "log_probability": step.log_probability,
                        "candidates": [asdict(candidate) for candidate in step.candidates],
                    }
                    for step in row.steps
                ],
            }
            for row in stream.rows
        ],
    }


def scores_report(text: str, scored: Sequence[ScoredToken]) -> dict[str, Any]:
    """A given text with the log-probabilities and candidates of its tokens, and their sum."""
    return {
        "score": {
            "text": text,
            "log_probability": math.fsum(token.log_probability for token in scored),
            "tokens": [asdict(token) for token in scored],
        }
    }
