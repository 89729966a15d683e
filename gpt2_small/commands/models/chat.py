"""Run `gpt2-small chat`: chat with a model in the terminal, or answer one message."""

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpt2_small import binding
from gpt2_small.commands.options.chosen_model import described, open_chosen
from gpt2_small.commands.options.flags import (
    Device,
    MinP,
    RepetitionPenalty,
    Solution,
    Stop,
    Temperature,
    TopK,
    TopP,
)
from gpt2_small.commands.options.solution_of_run import bind_solution_of
from gpt2_small.entry_point import INTERRUPTED
from gpt2_small.errors import UserError
from gpt2_small.interrupts import loading

if TYPE_CHECKING:
    from gpt2_small.commands.screens.chat_screen import ChatScreen

CANDIDATES = 5


def chat(
    model: Annotated[
        str,
        typer.Argument(help="A run or folder fine-tuned on conversations.", metavar="MODEL"),
    ],
    message: Annotated[
        str | None,
        typer.Argument(help="Answer this message, or a piped one, and exit.", metavar="[MESSAGE]"),
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(help="Tokens per answer, at most.", metavar="N")
    ] = 200,
    temperature: Temperature = 0.8,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    repetition_penalty: RepetitionPenalty = 1.0,
    stop: Stop = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same answers.", metavar="S")
    ] = None,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", help="Write turns and tokens (-: print).", metavar="PATH"),
    ] = None,
    device: Device = None,
    solution: Solution = None,
) -> None:
    """Chat with a fine-tuned model. Ctrl-C stops an answer.
    Commands: /undo, /retry, /why, /save FILE, /new, /quit.

    Example: gpt2-small chat runs/chat "Tell of Mara and the crown."
    """
    with loading():
        bind_solution_of(solution, model)
        from gpt2_small.commands.screens.chat_screen import ChatScreen
        from gpt2_small.commands.screens.sample_output import TO_STANDARD_OUTPUT
        from gpt2_small.files.report_files import writable
        from gpt2_small.generation import Chat, SamplingOptions

    options = SamplingOptions(
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        stop=tuple(stop or ()),
        seed=random.SystemRandom().randrange(2**32) if seed is None else seed,
        candidates=CANDIDATES,
    )
    options.check_by(binding.bound())
    if json_path not in (None, TO_STANDARD_OUTPUT):
        writable(json=json_path)
    loaded, chosen_device = open_chosen(model, device)
    screen = ChatScreen(Chat(binding.bound(), loaded, options), json_path)
    for remark in loaded.remarks:
        screen.say(remark)
    screen.say(described(loaded.name, chosen_device, options.seed))
    if message is None and sys.stdin is not None and not sys.stdin.isatty():
        message = _piped()
    if message is not None:
        if not screen.answer(message):
            raise typer.Exit(INTERRUPTED)
        return
    if json_path == TO_STANDARD_OUTPUT:
        raise UserError("--json - prints one answer; give a message, or the path of a file")
    read_messages(screen)


def read_messages(screen: "ChatScreen") -> None:
    """Read messages and commands until the input ends."""
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # line editing and history

    screen.say("Type a message. /help lists the commands; Ctrl-D ends.")
    is_leaving = False
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            screen.say("")
            return
        except KeyboardInterrupt:  # perhaps meant for an answer that has just ended
            if is_leaving:
                raise
            is_leaving = True
            screen.say("\nTo end the chat, press Ctrl-D, or Ctrl-C again.")
            continue
        is_leaving = False
        try:
            if not screen.take(line):
                return
        except UserError as error:
            screen.say(f"error: {error}")


def _piped() -> str:
    """The piped text without its last line break."""
    from gpt2_small.tokenizers.surrogates import bytes_to_text

    return bytes_to_text(sys.stdin.buffer.read()).removesuffix("\n").removesuffix("\r")
