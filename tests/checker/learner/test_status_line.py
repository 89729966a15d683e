"""Test that the part being checked is shown only on a terminal."""

import io

import pytest
from rich.console import Console

from gpt2_small.checker.learner.status_line import status_line


@pytest.mark.parametrize("output", [True, False], ids=["a terminal", "a file"])
@pytest.mark.parametrize("errors", [True, False], ids=["errors to a terminal", "to a file"])
def test_progress_is_shown_on_standard_output_or_else_standard_error_if_it_is_a_terminal(
    output: bool, errors: bool
) -> None:
    streams = io.StringIO(), io.StringIO()
    consoles = [
        Console(file=stream, force_terminal=is_terminal, width=60)
        for stream, is_terminal in zip(streams, (output, errors), strict=True)
    ]
    with status_line(*consoles) as say:
        say("checking MLP")
    shown = ["checking MLP" in stream.getvalue() for stream in streams]
    assert shown == [output, errors and not output]
