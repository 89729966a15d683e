"""Run `gpt2-small variant`: write the reference with named edits."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gpt2_small.commands.options.learner_options import check_new_file
from gpt2_small.errors import shell_word

_HUNK = re.compile(r"@@ -(\d+)")


def variant(
    with_: Annotated[
        list[str],
        typer.Option("--with", help="Id of an edit; repeatable.", metavar="ID"),
    ],
    out: Annotated[Path, typer.Option(help="The file to create.", metavar="FILE")],
) -> None:
    """Write the reference with named edits to a file, and show the changed lines.

    An edit is a mistake of docs/mistakes.md made on purpose, or rotary,
    no-positions, positional-embedding-sinusoidal, embedding-times-root, rms-norm or
    mlp-gated. Train and sample with the file by --solution.

    Example: gpt2-small variant --with block-post-norm --with mlp-relu --out v.py
    """
    from gpt2_small.checker.learner import verdict_screen
    from gpt2_small.checker.mistakes.edited_reference import reference_text
    from gpt2_small.checker.variants import variant_set
    from gpt2_small.files.atomic import write_atomically

    check_new_file(out, "--out")
    ids = tuple(dict.fromkeys(with_))
    text = variant_set(ids).reference_text()
    write_atomically(out, text)
    console = verdict_screen.console_for_learners()
    before, after = reference_text().splitlines(), text.splitlines()
    for line, style in _changes(before, after):
        console.print(line, style=style, markup=False, highlight=False)
    changed = sum(style == "green" for _, style in _changes(before, after))
    name = shell_word(out)
    console.print(
        f"\nWrote {out}: the reference with {', '.join(ids)} ({changed} lines are new).\n"
        "To check the file, also after your own changes:",
        markup=False,
        highlight=False,
    )
    typer.echo(f"  gpt2-small check {name} --as {','.join(ids)}")


def _changes(before: list[str], after: list[str]) -> Iterator[tuple[str, str]]:
    """The changed lines, coloured, with their line numbers in the reference."""
    for line in list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]:
        if hunk := _HUNK.match(line):
            yield f"line {hunk[1]} of the reference:", "dim"
        else:
            yield line, "green" if line.startswith("+") else "red"
