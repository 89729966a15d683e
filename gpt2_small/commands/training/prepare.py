"""Run `gpt2-small prepare`: tokenise a text into training shards."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from gpt2_small.entry_point import INTERRUPTED
from gpt2_small.errors import UserError, shell_word
from gpt2_small.interrupts import loading

HELLASWAG = "hellaswag"


def prepare(
    text: Annotated[
        str,
        typer.Argument(
            help="A known text, hub:NAME, a file or a folder.",
            metavar="NAME|FILE",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The folder to create.", metavar="FOLDER")
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(help="gpt2, byte, char, bpe:SIZE or a run (default: gpt2).", metavar="T"),
    ] = None,
    kind: Annotated[
        str,
        typer.Option("--format", help="bin (nanoGPT) or npy (build-nanogpt).", metavar="F"),
    ] = "bin",
    shard_tokens: Annotated[
        int | None,
        typer.Option(help="Tokens per file (default: all; 100M for npy).", metavar="N"),
    ] = None,
    validation_share: Annotated[
        float | None,
        typer.Option(help="Share of documents held out (default: 0.1 or less).", metavar="P"),
    ] = None,
    max_documents: Annotated[
        int | None, typer.Option(help="Read only the first N documents.", metavar="N", min=1)
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column or field with the text.", metavar="C")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Hub split (default: train); with --chat, tree or path.",
            metavar="S",
        ),
    ] = None,
    skip_bad_rows: Annotated[
        float | None,
        typer.Option(help="Share of unreadable rows to allow (default: 0.01).", metavar="P"),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="Tokeniser processes (default: one per core).", metavar="N")
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Prepare conversations: dialogues, oasst1, ...")
    ] = False,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Format: oasst, messages, sharegpt or alpaca.", metavar="F"),
    ] = None,
    lang: Annotated[
        str | None, typer.Option(help="Language of oasst's trees (default: en).", metavar="L")
    ] = None,
    paths: Annotated[
        str | None, typer.Option(help="Paths through oasst's trees: best or all.", metavar="P")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Tokens per conversation (default: 1024).", metavar="N")
    ] = None,
    too_long: Annotated[
        str | None, typer.Option(help="If longer: drop-turns (default) or drop.", metavar="W")
    ] = None,
    show: Annotated[
        int | None,
        typer.Option(help="Show N conversations of a prepared folder.", metavar="N", min=1),
    ] = None,
) -> None:
    """Tokenise a text into shards for train, nanoGPT and build-nanogpt.

    Known texts: openwebtext, fineweb-edu, tinystories, tiny-shakespeare, stories,
    and hellaswag (its questions). hub:NAME is a data set of the Hub. Files: text,
    .jsonl, .csv, .parquet, .arrow. After an interruption the same command resumes,
    and writes the same shards. The index holds counts, hashes and the text's
    origin.

    Example: gpt2-small prepare tinystories --out data/tinystories
    """
    for_chat = {
        "--from": from_,
        "--lang": lang,
        "--paths": paths,
        "--max-length": max_length,
        "--too-long": too_long,
    }
    for_text = {
        "--format": None if kind == "bin" else kind,
        "--shard-tokens": shard_tokens,
        "--column": column,
        "--skip-bad-rows": skip_bad_rows,
        "--processes": processes,
    }
    for_both = {
        "--tokenizer": tokenizer,
        "--validation-share": validation_share,
        "--max-documents": max_documents,
        "--split": split,
    }
    if show is not None:
        others = {"--out": out, "--chat": chat or None}
        _refuse_with("--show", {**for_chat, **for_text, **for_both, **others})
        show_chats(text, show)
        return
    if out is None:
        raise UserError("there is no --out; give a new folder for the result")
    if chat:
        _refuse_with("--chat", for_text)
        options_given = {
            "shape": from_,
            "tokenizer": tokenizer,
            "lang": lang,
            "paths": paths,
            "split": split,
            "max_length": max_length,
            "too_long": too_long,
            "validation_share": validation_share,
            "limit": max_documents,
        }
        prepare_chats(text, out, options_given)
        return
    _refuse_without_chat(for_chat)
    if text == HELLASWAG and not Path(text).exists():
        _refuse_with(HELLASWAG, for_text | for_both)
        prepare_questions(out)
        return
    of_shards = {
        "tokenizer": tokenizer,
        "kind": kind,
        "shard_tokens": shard_tokens,
        "validation_share": validation_share,
    }
    of_text: dict[str, Any] = {
        "column": column,
        "split": split,
        "max_documents": max_documents,
        "processes": processes,
    }
    if skip_bad_rows is not None:
        of_text["skipped_share"] = skip_bad_rows
    prepare_shards(text, out, of_shards, of_text)


def prepare_shards(
    text: str, out: Path, of_shards: dict[str, Any], of_text: dict[str, Any]
) -> None:
    """Prepare shards, with live progress, until the end or an interrupt."""
    with loading():
        from gpt2_small.commands.screens.prepare_view import PrepareView
        from gpt2_small.data.prepare import prepare as steps
        from gpt2_small.data.prepare_options import PrepareOptions
        from gpt2_small.tokenizers.tokenizer_folders import tokenizer_or_name

    of_shards["tokenizer"] = tokenizer_or_name(of_shards["tokenizer"])
    options, view = PrepareOptions(**of_shards), PrepareView(text, out)
    with _ended_like_an_interrupt() as ended_by:
        try:
            with view.live():
                for progress in steps(text, out, options, **of_text):
                    view.show(progress)
        except KeyboardInterrupt:
            view.interrupted()
            raise typer.Exit(128 + ended_by[0] if ended_by else INTERRUPTED) from None
    view.finished()


def prepare_questions(out: Path) -> None:
    """Download HellaSwag's validation questions, and print the file's name."""
    with loading():
        from gpt2_small.data.hellaswag import prepare_hellaswag
    path, count = prepare_hellaswag(out)
    typer.echo(f"Wrote {path}: {count:,} questions.")
    typer.echo(f"Next: gpt2-small evaluate MODEL --choices {shell_word(path)}")


def show_chats(folder: str, count: int) -> None:
    """Print conversations of a prepared folder."""
    with loading():
        from gpt2_small.commands.screens.chat_data_report import show_chat_folder
    show_chat_folder(Path(folder), count)


def prepare_chats(name: str, out: Path, options: dict[str, Any]) -> None:
    """Prepare conversations with the options that were given."""
    with loading():
        from gpt2_small.commands.screens.chat_data_report import prepare_chat_folder
        from gpt2_small.data.conversations.prepare_chats import ChatOptions
        from gpt2_small.tokenizers.tokenizer_folders import tokenizer_or_name
    options["tokenizer"] = tokenizer_or_name(options["tokenizer"])
    given = {key: value for key, value in options.items() if value is not None}
    prepare_chat_folder(name, out, ChatOptions(**given))


def _refuse_with(flag: str, others: dict[str, Any]) -> None:
    for other, value in others.items():
        if value is not None:
            raise UserError(f"{other} does not go with {flag}; leave one of them out")


def _refuse_without_chat(flags: dict[str, Any]) -> None:
    for flag, value in flags.items():
        if value is not None:
            raise UserError(f"{flag} is for conversations; add --chat, or leave it out")


@contextmanager
def _ended_like_an_interrupt() -> Iterator[list[int]]:
    """Treat SIGTERM like Ctrl-C; its number is added to the list."""
    ended_by: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        ended_by.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield ended_by
    finally:
        signal.signal(signal.SIGTERM, before)
