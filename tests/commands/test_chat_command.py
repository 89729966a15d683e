"""Test `gpt2-small chat`: one answer, a pipe, a terminal, its commands, and the report."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Pipe, exit_code_of

from gpt2_small import binding
from gpt2_small.commands.models import chat as command
from gpt2_small.commands.screens.chat_screen import WIDTH, ChatScreen, token_names
from gpt2_small.errors import UserError
from gpt2_small.generation import Chat, LoadedModel, SamplingOptions
from gpt2_small.tokenizers.registry import make_tokenizer
from gpt2_small.weights.export import export_hugging_face

SOLUTION = binding.bound()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export a random model with roles, and one without."""
    place = tmp_path_factory.mktemp("models")
    for name in ("byte-chat", "byte"):
        tokenizer = make_tokenizer(name)
        torch.manual_seed(0)
        config = SOLUTION.TransformerConfig(
            d_model=16, n_layers=1, n_heads=2, n_ctx=64, d_vocab=tokenizer.vocab_size
        )
        export_hugging_face(SOLUTION.Transformer(config), place / name, tokenizer=tokenizer)
    return place


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    return exit_code_of(monkeypatch, "chat", *arguments)


SHORT = ("--max-new-tokens", "4", "--seed", "1", "--device", "cpu")


def test_a_message_on_the_command_line_gets_one_answer_and_nothing_else_on_standard_output(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    path = tmp_path / "chat.json"
    assert run(monkeypatch, str(folder / "byte-chat"), "Hi", *SHORT, "--json", str(path)) == 0
    output = capsys.readouterr()
    content = json.loads(path.read_text())
    assert content["format"] == "gpt2-small-chat/1"
    assert content["messages"][0] == {"role": "user", "content": "Hi"}
    answer = content["messages"][1]
    assert output.out == answer["content"] + "\n"
    assert len(answer["tokens"]) <= 4
    assert all(len(token["candidates"]) == 5 for token in answer["tokens"])
    assert "seed 1" in output.err


def test_a_json_report_to_standard_output_replaces_the_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(folder / "byte-chat"), "Hi", *SHORT, "--json", "-") == 0
    content = json.loads(capsys.readouterr().out)
    assert content["messages"][0] == {"role": "user", "content": "Hi"}


def test_a_message_from_a_pipe_gets_the_same_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, str(folder / "byte-chat"), "Hi", *SHORT) == 0
    given = capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", Pipe(b"Hi\n"))
    assert run(monkeypatch, str(folder / "byte-chat"), *SHORT) == 0
    assert capsys.readouterr().out == given


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["byte", "Hi"], "was not trained on conversations; fine-tune it with"),
        (["byte-chat", ""], "the message is empty"),
        (["byte-chat", "x" * 99], "the message has 99 tokens"),
        (["byte-chat", "Hi", "--temperature", "-1"], "temperature is -1.0"),
        (["byte-chta", "Hi"], "did you mean"),
    ],
)
def test_an_impossible_option_is_reported_in_one_sentence_with_exit_code_2(
    arguments: list[str],
    sentence: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, *others = arguments
    assert run(monkeypatch, str(folder / model), *others, *SHORT) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert sentence in error
    assert "Traceback" not in error


def screen(json_path: Path | None = None, **options: Any) -> ChatScreen:
    tokenizer = make_tokenizer("byte-chat")
    torch.manual_seed(0)
    config = SOLUTION.TransformerConfig(
        d_model=16, n_layers=1, n_heads=2, n_ctx=64, d_vocab=tokenizer.vocab_size, init_std=0.2
    )
    loaded = LoadedModel("small", SOLUTION.Transformer(config).eval(), tokenizer)
    given = {"max_new_tokens": 6, "candidates": 5} | options
    return ChatScreen(Chat(SOLUTION, loaded, SamplingOptions(**given)), json_path)


def test_commands_act_on_the_conversation(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shown = screen()
    assert shown.take("Hi")
    first = shown.conversation.turns[-1].text
    assert shown.take("/retry")
    assert shown.conversation.turns[-1].text != first
    assert shown.take("/undo")
    assert shown.conversation.turns == []
    assert "(removed: Hi)" in capsys.readouterr().err
    shown.take("How?")
    shown.take(f"/save {tmp_path / 'chat.jsonl'}")
    assert json.loads((tmp_path / "chat.jsonl").read_text())["messages"][0]["content"] == "How?"
    with pytest.raises(UserError, match="exists already"):
        shown.take(f"/save {tmp_path / 'chat.jsonl'}")
    assert shown.take("/new")
    assert shown.conversation.turns == []
    assert shown.take("")
    assert not shown.take("/quit")


def test_why_prints_a_line_for_each_token_as_far_as_they_fit_the_screen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = screen()
    shown.take("Hi")
    capsys.readouterr()
    shown.take("/why")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(shown.conversation.turns[-1].steps)
    assert all("%" in line and len(line) <= WIDTH for line in lines)


def test_why_shows_names_of_tokens_without_text() -> None:
    tokenizer = make_tokenizer("byte-chat")
    name = token_names(tokenizer)
    assert tokenizer.roles is not None
    assert name(tokenizer.roles.user) == "<|user|>"
    assert all(name(id) not in ("", "''") for id in tokenizer.ends)
    assert name(ord("a")) == "'a'"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/retyr", r"there is no command /retyr; did you mean /retry\?"),
        ("/save", "needs a file's name"),
        ("/why", "send a message first"),
        ("/undo", "send a message first"),
    ],
)
def test_an_unknown_command_gets_one_sentence(line: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        screen().take(line)


def test_one_interrupt_of_an_empty_prompt_keeps_the_chat_and_a_second_ends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = iter([KeyboardInterrupt, "/help", KeyboardInterrupt, KeyboardInterrupt])

    def read(prompt: str) -> str:
        line = next(typed)
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr("builtins.input", read)
    with pytest.raises(KeyboardInterrupt):
        command.read_messages(screen())
    assert next(typed, None) is None
    assert "To end the chat, press Ctrl-D, or Ctrl-C again." in capsys.readouterr().err


def test_an_interrupt_stops_only_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    shown = screen(max_new_tokens=40, stop_tokens=())
    drawn: list[str] = []

    def interrupted(text: str) -> None:
        drawn.append(text)
        if len(drawn) == 3:
            raise KeyboardInterrupt

    plain, shown._print = shown._print, interrupted  # type: ignore[method-assign]
    shown.take("Hi")
    shown._print = plain  # type: ignore[method-assign]
    assert shown.conversation.turns[-1].finish == "interrupted"
    assert "(stopped)" in capsys.readouterr().err
    shown.take("More")
    assert len(shown.conversation.turns) == 4


def test_dropped_turns_are_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    shown = screen(stop_tokens=())
    for number in range(7):
        shown.take(f"message {number}")
    remarks = [line for line in capsys.readouterr().err.splitlines() if "no longer fit" in line]
    assert len(remarks) >= 2
    assert len(remarks) == len(set(remarks))


def test_at_a_terminal_the_chat_continues_after_an_error_and_ends_at_the_end_of_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = iter(["/hlep", "Hi", "/undo"])

    def typed(prompt: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", typed)
    shown = screen()
    command.read_messages(shown)
    error = capsys.readouterr().err
    assert "did you mean /help?" in error
    assert shown.conversation.turns == []
