"""`gpt2-small sample`: a text goes on, before your eyes."""

import json
import random
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gpt2_small import binding
from gpt2_small.entry_point import INTERRUPTED, bind_solution
from gpt2_small.errors import UserError
from gpt2_small.interrupts import loading

if TYPE_CHECKING:
    from gpt2_small.generation import Continuation, Stream
    from gpt2_small.tokenizers.protocol import Tokenizer

CANDIDATES = 10
FORMAT = "gpt2-small-sample/1"
DTYPES = ("float32", "bfloat16", "float16")


def sample(
    model: Annotated[
        str, typer.Option(help="A run, a Hugging Face folder, or gpt2 to gpt2-xl.", metavar="NAME")
    ],
    prompt: Annotated[
        str | None,
        typer.Option(help="What to continue; left out, read from a pipe.", metavar="TEXT"),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens to write.", metavar="N")] = 100,
    temperature: Annotated[
        float, typer.Option(help="Higher is wilder, 0 is greedy.", metavar="T")
    ] = 1.0,
    top_k: Annotated[
        int | None, typer.Option(help="Draw from the K most likely tokens.", metavar="K")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Draw from the likeliest tokens that make up P.", metavar="P"),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(help="Leave out tokens below P times the likeliest.", metavar="P"),
    ] = None,
    repetition_penalty: Annotated[
        float, typer.Option(help="Above 1 repeats less.", metavar="X")
    ] = 1.0,
    stop: Annotated[
        list[str] | None,
        typer.Option(help="End before this text; may be repeated.", metavar="TEXT"),
    ] = None,
    ignore_end: Annotated[
        bool, typer.Option("--ignore-end", help="Write on after the end of a text.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same text.", metavar="S")
    ] = None,
    num_samples: Annotated[int, typer.Option(help="How many continuations.", metavar="N")] = 1,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", help="Write texts, tokens and probabilities here.", metavar="PATH"),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda, cuda:1 or mps; left out, the best one.", metavar="D"),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Or bfloat16, float16.", metavar="T")] = "float32",
    solution: Annotated[
        Path | None, typer.Option(help="Your own file instead of the reference.", metavar="FILE")
    ] = None,
) -> None:
    """Continue a text with a trained model, and print it as it is written.

    Example: gpt2-small sample --model runs/stories --prompt "Once upon a time"
    """
    with loading():
        bind_solution(solution)
        import torch

        from gpt2_small.checker.report_formats import writable
        from gpt2_small.devices import find_device
        from gpt2_small.generation import SamplingOptions, Stream, open_model

    text = read_prompt(prompt)
    options = SamplingOptions(
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        stop=tuple(stop or ()),
        stop_tokens=() if ignore_end else None,
        seed=random.SystemRandom().randrange(2**32) if seed is None else seed,
        num_samples=num_samples,
        candidates=0 if json_path is None else CANDIDATES,
    )
    options.check_by(binding.bound())
    if json_path is not None:
        writable(json_path)
    if dtype not in DTYPES:
        raise UserError(f"dtype is {dtype!r}; give one of {', '.join(DTYPES)}")
    place = find_device(device)
    loaded = open_model(model, device=place, dtype=getattr(torch, dtype))
    stream = Stream(binding.bound(), loaded, [text], options)
    say(f"{loaded.name}, by {binding.describe(binding.bound())}; {place}, seed {options.seed}")
    length, n_ctx = len(stream.prompts[0]), loaded.model.config.n_ctx
    if length > n_ctx:
        say(f"the prompt has {length:,} tokens, of which the model reads the last {n_ctx:,}")

    whole = print_as_written(shown_prompt(text), stream)
    if json_path is not None:
        report = {"model": model, "device": str(place), "dtype": dtype, "prompt": text}
        write_report(json_path, report, stream, loaded.tokenizer)
    if not whole:
        raise typer.Exit(INTERRUPTED)


def say(line: str) -> None:
    """A line about the text, beside it."""
    typer.echo(line, err=True)


def read_prompt(given: str | None) -> str:
    """The text of --prompt; else what a pipe holds, without the line break at its end.

    Bytes that are not UTF-8 become the surrogates that stand for them (PEP 383).
    """
    if given is not None:
        return given
    if sys.stdin is None or sys.stdin.isatty():
        raise UserError("there is no prompt; give --prompt TEXT, or pipe a text in")
    from gpt2_small.tokenizers.protocol import bytes_to_text

    return bytes_to_text(sys.stdin.buffer.read()).removesuffix("\n").removesuffix("\r")


def shown_prompt(prompt: str) -> str:
    """The prompt with U+FFFD for bytes that are not UTF-8."""
    from gpt2_small.tokenizers.protocol import text_to_bytes

    return text_to_bytes(prompt).decode(errors="replace")


def print_as_written(prompt: str, stream: "Stream") -> bool:
    """Print every continuation after its prompt; whether they all came to their end.

    Several are printed one after the other, the first of them as it is written.
    """
    from gpt2_small.generation.terminal_text import print_anything

    print_anything(sys.stdout)
    screen = Screen(prompt, stream.rows)
    try:
        screen.update()
        for _ in stream:
            screen.update()
    except KeyboardInterrupt:
        for row in stream.rows:
            row.interrupt()
        screen.update()
        say("interrupted")
    return all(row.finish != "interrupted" for row in stream.rows)


class Screen:
    """Continuations that are written side by side, printed one after the other."""

    def __init__(self, prompt: str, rows: "list[Continuation]") -> None:
        self._prompt = prompt
        self._rows = rows
        self._current = 0
        self._printed: int | None = None

    def update(self) -> None:
        """Print what is new of the continuation whose turn it is, and of the next ones after it."""
        while self._current < len(self._rows):
            row = self._rows[self._current]
            if self._printed is None:
                title = f"--- {self._current + 1} of {len(self._rows)}\n"
                self._print((title if len(self._rows) > 1 else "") + self._prompt)
                self._printed = 0
            new, self._printed = row.text[self._printed :], len(row.text)
            self._print(new)
            if row.finish is None:
                return
            self._print("\n")
            self._current, self._printed = self._current + 1, None

    def _print(self, text: str) -> None:
        from gpt2_small.generation.terminal_text import visible

        if sys.stdout is not None:  # as it is when it was closed
            sys.stdout.write(visible(text) if sys.stdout.isatty() else text)
            sys.stdout.flush()


def write_report(
    path: Path, report: dict[str, Any], stream: "Stream", tokenizer: "Tokenizer"
) -> None:
    """Write every continuation with the probabilities of its tokens as JSON."""
    from gpt2_small.files import write_atomically

    bound = binding.bound()
    content = {
        "format": FORMAT,
        "solution": str(binding.solution_path(bound)),
        "sha256": binding.sha256(bound),
        **report,
        "options": asdict(stream.options),
        "samples": [
            {
                "text": row.text,
                "finish": row.finish,
                "tokens": [
                    {
                        "id": step.id,
                        "text": tokenizer.decode([step.id]),
                        "log_probability": step.log_probability,
                        "candidates": [asdict(candidate) for candidate in step.candidates],
                    }
                    for step in row.steps
                ],
            }
            for row in stream.rows
        ],
    }
    write_atomically(path, json.dumps(content, indent=1) + "\n")
