"""Stream a conversation, execute its commands, and write it as JSON."""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from gpt2_small import binding
from gpt2_small.commands.screens.sample_output import TO_STANDARD_OUTPUT
from gpt2_small.errors import UserError, did_you_mean
from gpt2_small.files.atomic import write_atomically
from gpt2_small.generation import Chat, DrawnToken, Reply
from gpt2_small.generation.terminal_text import on_one_line, print_anything, visible
from gpt2_small.tokenizers.protocol import Tokenizer

FORMAT = "gpt2-small-chat/1"
HELP = """/undo       remove the last message and its answer
/retry      answer the last message again
/why        the tokens of the last answer, and what else was likely
/save FILE  write the conversation as messages, which prepare --chat reads
/new        begin another conversation
/quit       end; so does Ctrl-D. Ctrl-C stops an answer."""
WIDTH = 78
TOKEN_WIDTH = 16


class ChatScreen:
    """A conversation on the terminal: answers on standard output, the rest on standard error.

    json_path: rewritten after every answer; `-` prints it instead of the answer.
    """

    def __init__(self, conversation: Chat, json_path: Path | None = None) -> None:
        self.conversation, self._json_path = conversation, json_path
        self._left_out = 0
        self._commands: dict[str, Callable[[str], object]] = {
            "/help": lambda _: self.say(HELP),
            "/undo": lambda _: self._undo(),
            "/retry": lambda _: self._write(conversation.retry()),
            "/why": lambda _: self._why(),
            "/save": self._save,
            "/new": lambda _: self._restart(),
        }
        if sys.stdout is not None:  # None if it was closed
            print_anything(sys.stdout)

    def say(self, line: str) -> None:
        """Print a line that is not an answer."""
        typer.echo(line, err=True)

    def take(self, line: str) -> bool:
        """Answer a message or execute a command; False ends the conversation.

        Raises UserError for an invalid message or command.
        """
        name, _, rest = line.partition(" ")
        if name in ("/quit", "/exit"):
            return False
        if name in self._commands:
            self._commands[name](rest.strip())
        elif name.startswith("/") and name[1:].isalpha():
            guess = did_you_mean(name, self._commands, otherwise="/help lists the commands")
            raise UserError(f"there is no command {name}; {guess}")
        elif line:
            self.answer(line)
        return True

    def answer(self, message: str) -> bool:
        """Stream the answer to a message; False if interrupted.

        Raises UserError for an invalid message.
        """
        return self._write(self.conversation.reply(message))

    def _write(self, reply: Reply) -> bool:
        try:
            for step in reply:
                self._print(step.text)
        except KeyboardInterrupt:
            reply.stop()
        shown = sum(len(step.text) for step in reply.steps)
        self._print(reply.text[shown:] + "\n")
        if reply.finish == "length":
            self.say(f"(cut after {len(reply.steps):,} tokens)")
        elif reply.finish == "interrupted":
            self.say("(stopped)")
        self._print_dropped_turns()
        self._report()
        return reply.finish != "interrupted"

    def _print_dropped_turns(self) -> None:
        """Print a line when turns are dropped, and again when more are."""
        left_out, n_ctx = self.conversation.left_out, self.conversation.loaded.model.config.n_ctx
        if left_out > self._left_out:
            self.say(
                f"(the first {left_out} turns no longer fit the context of {n_ctx:,} tokens; "
                "they are left out)"
            )
        self._left_out = left_out

    def _undo(self) -> None:
        self.say(f"(removed: {on_one_line(self.conversation.undo())})")

    def _restart(self) -> None:
        self.conversation.restart()
        self.say("(a new conversation)")

    def _save(self, path: str) -> None:
        if not path:
            raise UserError("/save needs a file's name, such as /save chat.jsonl")
        if Path(path).exists():
            raise UserError(f"{path} exists already; give another name")
        self.conversation.save(path)
        self.say(f"Wrote {path}")

    def _why(self) -> None:
        turns = self.conversation.turns
        if not turns:
            raise UserError("there is no answer yet; send a message first")
        names = token_names(self.conversation.loaded.tokenizer)
        for step in turns[-1].steps:
            self.say(_line_about(step, names))

    def _print(self, text: str) -> None:
        if sys.stdout is not None and self._json_path != TO_STANDARD_OUTPUT:
            sys.stdout.write(visible(text) if sys.stdout.isatty() else text)
            sys.stdout.flush()

    def _report(self) -> None:
        if self._json_path is not None:
            text = json.dumps(report(self.conversation), indent=1)
            if self._json_path == TO_STANDARD_OUTPUT:
                typer.echo(text)
            else:
                write_atomically(self._json_path, text + "\n")


def token_names(tokenizer: Tokenizer) -> Callable[[int], str]:
    """A token's text in quotes, or the name of a token without text."""
    names = dict.fromkeys(tokenizer.ends, "<end>")
    names |= {id: name for name, id in tokenizer.special_tokens.items()}
    return lambda id: names.get(id) or _quoted(tokenizer.decode([id]))


def _line_about(step: DrawnToken, name: Callable[[int], str]) -> str:
    """A token, its probability and the likeliest alternatives, in the screen's width."""
    line = f"{name(step.id):{TOKEN_WIDTH}} {_percent(step.log_probability):>6}"
    for each in step.candidates:
        candidate = f"   {name(each.id)} {_percent(each.log_probability)}"
        if len(line + candidate) > WIDTH:
            break
        line += candidate
    return line


def _quoted(text: str) -> str:
    return f"'{on_one_line(text)}'"[:TOKEN_WIDTH]


def _percent(log_probability: float | None) -> str:
    if log_probability is None:  # not requested
        return "?"
    return f"{math.exp(log_probability):.1%}"


def report(conversation: Chat) -> dict[str, Any]:
    """A conversation with the probabilities of its tokens, as JSON values."""
    bound, tokenizer = binding.bound(), conversation.loaded.tokenizer
    messages: list[dict[str, Any]] = []
    for turn in conversation.turns:
        message: dict[str, Any] = {"role": turn.role, "content": turn.text}
        if turn.role == "assistant":
            message["finish"] = turn.finish
            message["tokens"] = [
                {
                    "id": step.id,
                    "text": tokenizer.decode([step.id]),
                    "log_probability": step.log_probability,
                    "candidates": [asdict(candidate) for candidate in step.candidates],
                }
                for step in turn.steps
            ]
        messages.append(message)
    return {
        "format": FORMAT,
        "model": conversation.loaded.name,
        "solution": str(binding.solution_path(bound)),
        "sha256": binding.sha256(bound),
        "options": asdict(conversation.options),
        "left_out": conversation.left_out,
        "messages": messages,
    }
