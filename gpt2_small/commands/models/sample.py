"""Run `gpt2-small sample`: continue a text with a trained model, or score one."""

import random
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpt2_small import binding
from gpt2_small.commands.options.chosen_model import described, open_chosen
from gpt2_small.commands.options.flags import (
    Device,
    Dtype,
    MinP,
    RepetitionPenalty,
    Solution,
    Stop,
    Temperature,
    TopK,
    TopP,
)
from gpt2_small.commands.options.solution_of_run import bind_solution_of
from gpt2_small.commands.screens.standard_error import print_to_stderr
from gpt2_small.entry_point import INTERRUPTED
from gpt2_small.errors import UserError
from gpt2_small.interrupts import loading

if TYPE_CHECKING:
    from gpt2_small.generation import LoadedModel, SamplingOptions

CANDIDATES = 10


def sample(
    model: Annotated[
        str, typer.Option(help="A run, Hugging Face folder or Hub name.", metavar="NAME")
    ],
    prompt: Annotated[
        str | None,
        typer.Option(help="Text to continue (default: read from a pipe).", metavar="TEXT"),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="File of prompts, one per line.", metavar="FILE")
    ] = None,
    special_tokens: Annotated[
        bool, typer.Option("--special-tokens", help="Encode <|...|> in a prompt as special tokens.")
    ] = False,
    score: Annotated[
        str | None,
        typer.Option(help="Score this text after the prompt; draw nothing.", metavar="TEXT"),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens to draw.", metavar="N")] = 100,
    repetition_penalty: RepetitionPenalty = 1.0,
    frequency_penalty: Annotated[
        float,
        typer.Option(
            help="Subtract X for each time a token was drawn.", metavar="X", show_default=False
        ),
    ] = 0.0,
    presence_penalty: Annotated[
        float,
        typer.Option(
            help="Subtract X once for a token that was drawn.", metavar="X", show_default=False
        ),
    ] = 0.0,
    no_repeat_ngram_size: Annotated[
        int, typer.Option(help="Never repeat N tokens in a row.", metavar="N", show_default=False)
    ] = 0,
    temperature: Temperature = 1.0,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    typical_p: Annotated[
        float | None,
        typer.Option(help="Draw from the most typical tokens, up to mass P.", metavar="P"),
    ] = None,
    stop: Stop = None,
    stop_token: Annotated[
        list[str] | None,
        typer.Option(help="Stop with this token: its id or text.", metavar="TOKEN"),
    ] = None,
    ignore_end: Annotated[
        bool, typer.Option("--ignore-end", help="Continue past the end-of-text token.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same text.", metavar="S")
    ] = None,
    num_samples: Annotated[
        int, typer.Option(help="Continuations of each prompt.", metavar="N")
    ] = 1,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", help="Write tokens and probabilities (-: print).", metavar="PATH"),
    ] = None,
    device: Device = None,
    dtype: Dtype = "float32",
    solution: Solution = None,
) -> None:
    """Continue a text with a trained model, and print the tokens as they are drawn.

    --repetition-penalty to --typical-p apply in this order, as in transformers.

    Example: gpt2-small sample --model runs/stories --prompt "Once upon a time"
    """
    with loading():
        bind_solution_of(solution, model)

        from gpt2_small.commands.screens import sample_output as output
        from gpt2_small.generation import SamplingOptions, Stream, score_text

    texts = read_texts(prompt, prompts, score)
    options = SamplingOptions(
        max_new_tokens=max_new_tokens,
        repetition_penalty=repetition_penalty,
        frequency_penalty=frequency_penalty,
        presence_penalty=presence_penalty,
        no_repeat_ngram_size=no_repeat_ngram_size,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        typical_p=typical_p,
        stop=tuple(stop or ()),
        seed=random.SystemRandom().randrange(2**32) if seed is None else seed,
        num_samples=num_samples,
        candidates=None if json_path is None else CANDIDATES,
    )
    options.check_by(binding.bound())
    if score is not None:
        refuse_drawing(options, {"--stop-token": stop_token, "--ignore-end": ignore_end})
    quiet, completed = json_path == output.TO_STANDARD_OUTPUT, True
    if json_path is not None and not quiet:
        from gpt2_small.files.report_files import writable

        writable(json=json_path)
    loaded, chosen_device = open_chosen(model, device, dtype)
    ids = encoded(loaded, texts, special_tokens)
    if stop_token or ignore_end:
        options = replace(options, stop_tokens=stop_ids(loaded, stop_token or [], ignore_end))
    report = {"model": model, "device": str(chosen_device), "dtype": dtype}
    report |= output.prompts_report(texts, ids)
    about = described(loaded.name, chosen_device, options.seed)
    remarks = [about, *hints(loaded, texts, ids)]
    if score is None:
        stream = Stream(binding.bound(), loaded, ids, options)
        print_to_stderr(*remarks)
        completed = output.run_stream([*map(shown, texts)], stream, quiet=quiet)
        report |= output.samples_report(stream, loaded)
    else:
        scored = score_text(loaded, ids[0], score, CANDIDATES)
        print_to_stderr(*remarks)
        if not quiet:
            output.print_scores(scored)
        report |= output.scores_report(score, scored)
    if json_path is not None:
        output.write_report(json_path, report)
    if not completed:
        raise typer.Exit(INTERRUPTED)


def refuse_drawing(options: "SamplingOptions", others: dict[str, object]) -> None:
    """Refuse flags that change the drawn tokens, beside --score."""
    changed = [
        f"--{field.name.replace('_', '-')}"
        for field in fields(options)
        if field.name not in ("seed", "candidates", "max_new_tokens")
        and getattr(options, field.name) != field.default
    ]
    for flag in (*changed, *(flag for flag, value in others.items() if value)):
        raise UserError(f"--score draws nothing, so {flag} has no effect; leave one of them out")


def read_texts(prompt: str | None, file: Path | None, score: str | None) -> list[str]:
    """Read the prompts: from --prompt, a file or a pipe, without the last line break.

    With --score, a prompt is optional. Bytes that are not UTF-8 become surrogates (PEP 383).
    """
    if prompt is not None and file is not None:
        raise UserError("both --prompt and --prompts are given; leave one out")
    if file is not None:
        from gpt2_small.generation.prompts import read_prompts

        texts = read_prompts(file)
        if score is not None and len(texts) > 1:
            raise UserError(f"{file} has {len(texts)} prompts; --score takes one")
        return texts
    if prompt is not None or score is not None:
        return [prompt or ""]
    if sys.stdin is None or sys.stdin.isatty():
        raise UserError("there is no prompt; give --prompt TEXT, or pipe a text in")
    from gpt2_small.tokenizers.surrogates import bytes_to_text

    return [bytes_to_text(sys.stdin.buffer.read()).removesuffix("\n").removesuffix("\r")]


def shown(prompt: str) -> str:
    """The prompt with U+FFFD for bytes that are not UTF-8."""
    from gpt2_small.tokenizers.surrogates import text_to_bytes

    return text_to_bytes(prompt).decode(errors="replace")


def encoded(loaded: "LoadedModel", texts: list[str], special_tokens: bool) -> list[list[int]]:
    """Encode every prompt; special tokens' names become tokens only on request."""
    from gpt2_small.generation.prompts import prompt_ids

    tokenizer, d_vocab = loaded.tokenizer, loaded.model.config.d_vocab
    prompts: list[str] | list[list[int]] = texts
    if special_tokens:
        prompts = [tokenizer.encode_special(text) for text in texts]
    return [prompt_ids(tokenizer, prompt, d_vocab) for prompt in prompts]


def hints(loaded: "LoadedModel", texts: list[str], ids: list[list[int]]) -> Iterator[str]:
    """Hints on assumptions about the model, and on unexpected encodings of prompts."""
    from gpt2_small.generation.prompts import ends_inside_a_word, special_tokens_in

    yield from loaded.remarks
    names = [name for text in texts for name in special_tokens_in(loaded.tokenizer, text)]
    known = {id for row in ids for id in row}
    if any(loaded.tokenizer.special_tokens[name] not in known for name in names):
        yield f"{names[0]} is read as its characters; --special-tokens reads it as the token"
    longest, n_ctx = max(map(len, ids)), loaded.model.config.n_ctx
    if longest > n_ctx:
        yield f"the prompt has {longest:,} tokens, of which the model reads the last {n_ctx:,}"
    if any(ends_inside_a_word(loaded.tokenizer, text) for text in texts):
        yield "the prompt ends in a space, which belongs to the next word's token; leave it out"


def stop_ids(loaded: "LoadedModel", names: list[str], ignore_end: bool) -> tuple[int, ...]:
    """The stop tokens: the named ones, and the tokenizer's end unless ignored."""
    from gpt2_small.generation.prompts import token_named

    d_vocab = loaded.model.config.d_vocab
    named = {token_named(loaded.tokenizer, name, d_vocab) for name in names}
    return tuple(sorted(named | (frozenset() if ignore_end else loaded.tokenizer.ends)))
