"""`gpt2-small prepare`: a text as shards of tokens, ready to train on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from gpt2_small.entry_point import INTERRUPTED
from gpt2_small.interrupts import loading


def prepare(
    text: Annotated[
        str,
        typer.Argument(
            help="openwebtext, fineweb-edu, tinystories, tiny-shakespeare, stories, hub:NAME for a "
            "data set of the hub, or a file: text, .jsonl or .parquet.",
            metavar="NAME|FILE",
        ),
    ],
    out: Annotated[Path, typer.Option(help="A new folder for the shards.", metavar="FOLDER")],
    tokenizer: Annotated[
        str | None,
        typer.Option(help="gpt2, byte, char or bpe:SIZE; left out, gpt2.", metavar="T"),
    ] = None,
    kind: Annotated[
        str,
        typer.Option("--format", help="bin for nanoGPT, npy for build-nanogpt.", metavar="F"),
    ] = "bin",
    shard_tokens: Annotated[
        int | None,
        typer.Option(help="Tokens in a file; left out, all of them, and 100M in npy.", metavar="N"),
    ] = None,
    validation_share: Annotated[
        float | None,
        typer.Option(help="Of the documents; left out, 0.1 or less by size.", metavar="P"),
    ] = None,
    max_documents: Annotated[
        int | None, typer.Option(help="Only the first of a data set.", metavar="N", min=1)
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Which column of a data set is text.", metavar="C")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Which split of a data set; left out, train.", metavar="S")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="That tokenise; left out, one a processor.", metavar="N")
    ] = None,
) -> None:
    """Tokenise a text into shards that train, nanoGPT and build-nanogpt read.

    They come with an index: counts, hashes, and where the text is from. Interrupted,
    the same command goes on where it stopped, and the shards are the same.

    Example: gpt2-small prepare tinystories --out data/tinystories
    """
    with loading():
        from gpt2_small.commands.prepare_view import PrepareView
        from gpt2_small.data.prepare import prepare as steps
        from gpt2_small.data.prepare_options import Options

    options = Options(
        tokenizer=tokenizer,
        kind=kind,
        shard_tokens=shard_tokens,
        validation_share=validation_share,
    )
    view = PrepareView(text, out)
    with _ended_like_an_interrupt() as ended_by:
        try:
            with view.live():
                for progress in steps(
                    text,
                    out,
                    options,
                    column=column,
                    split=split,
                    max_documents=max_documents,
                    processes=processes,
                ):
                    view.show(progress)
        except KeyboardInterrupt:
            view.interrupted()
            raise typer.Exit(128 + ended_by[0] if ended_by else INTERRUPTED) from None
    view.finished()


@contextmanager
def _ended_like_an_interrupt() -> Iterator[list[int]]:
    """SIGTERM is what Ctrl-C is; the list then holds its number."""
    ended_by: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        ended_by.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield ended_by
    finally:
        signal.signal(signal.SIGTERM, before)
