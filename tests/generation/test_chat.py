"""Test chats with a model: turns, cache, undo, retry, and the end of the context."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from gpt2_small import binding
from gpt2_small.data.conversations.chat_sources import open_chat_source
from gpt2_small.data.conversations.conversation import Audit, conform
from gpt2_small.errors import UserError
from gpt2_small.generation.chat import Chat
from gpt2_small.generation.loaded_model import LoadedModel
from gpt2_small.generation.sampling.sampling_options import SamplingOptions
from gpt2_small.tokenizers.registry import make_tokenizer

END, USER, ASSISTANT = 256, 257, 258
SOLUTION = binding.bound()


def small_model(n_ctx: int = 96, tokenizer: str = "byte-chat", seed: int = 0) -> LoadedModel:
    """Return a model of width 16 with random weights, which ends some of its turns."""
    found = make_tokenizer(tokenizer)
    torch.manual_seed(seed)
    config = SOLUTION.TransformerConfig(
        d_model=16, n_layers=2, n_heads=2, n_ctx=n_ctx, d_vocab=found.d_vocab, init_std=0.3
    )
    return LoadedModel("small", SOLUTION.Transformer(config).eval(), found)


LOADED = small_model()


def conversation(loaded: LoadedModel = LOADED, **options: Any) -> Chat:
    given = {"max_new_tokens": 12, "seed": 3} | options
    return Chat(SOLUTION, loaded, SamplingOptions(**given))


def answer_ids(reply: Any) -> list[int]:
    """Return the ids of a reply."""
    return [step.id for step in reply]


def test_a_prompt_consists_of_whole_turns_with_roles_and_ends() -> None:
    chat = conversation()
    first = answer_ids(chat.reply("Hi"))
    answer_ids(chat.reply("<|user|>"))
    written = [id for id in first if id < 256]
    assert chat.prompt() == [
        *[USER, *b"Hi", END, ASSISTANT, *written, END],
        *[USER, *b"<|user|>", END, ASSISTANT],
    ]


def test_a_later_turn_equals_that_of_a_conversation_without_a_cache() -> None:
    chat = conversation(temperature=0.0)
    for text in ("Hi", "How are you?", "Well."):
        with_cache = answer_ids(chat.reply(text))
        tokens = torch.tensor([chat.prompt()])
        anew = SOLUTION.generate(LOADED.model, tokens, len(with_cache), temperature=0.0)
        assert with_cache == anew[0, tokens.shape[1] :].tolist()


def test_a_later_turn_computes_only_its_new_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = conversation()
    answer_ids(chat.reply("Hi"))
    read: list[int] = []
    extend = type(chat.decoder).extend

    def counted(self: Any, tokens: torch.Tensor) -> torch.Tensor:
        read.append(tokens.shape[1])
        return extend(self, tokens)

    monkeypatch.setattr(type(chat.decoder), "extend", counted)
    drawn = len(chat.turns[-1].steps)
    next(iter(chat.reply("And you?")))
    assert read[0] <= len("And you?") + 4 + (drawn == 12)


def test_two_interleaved_conversations_equal_the_same_ones_alone() -> None:
    texts = (("One", "Two"), ("Eins", "Zwei"))
    alone = []
    for pair in texts:
        chat = conversation()
        alone.append([answer_ids(chat.reply(text)) for text in pair])
    one, other = conversation(), conversation()
    first = [answer_ids(one.reply("One"))]
    second = [answer_ids(other.reply("Eins"))]
    first.append(answer_ids(one.reply("Two")))
    second.append(answer_ids(other.reply("Zwei")))
    assert [first, second] == alone


def always(id: int, n_ctx: int = 96) -> LoadedModel:
    """Return a model that always predicts this token."""
    loaded = small_model(n_ctx)
    with torch.no_grad():
        loaded.model.ln_final.w.zero_()
        loaded.model.ln_final.b.copy_(100 * loaded.model.embed.W_E[id])
        loaded.model.embed.W_E[id] *= 10
    return loaded


@pytest.mark.parametrize("id", [END, USER, ASSISTANT])
def test_a_reply_stops_at_the_end_of_text_and_at_a_role(id: int) -> None:
    chat = conversation(always(id))
    reply = chat.reply("Hi")
    assert answer_ids(reply) == [id]
    assert (reply.text, reply.finish) == ("", "stop")
    assert chat.turns[-1].ids == [ASSISTANT, END]


def test_a_conversation_of_three_context_lengths_is_cut_between_turns() -> None:
    chat = conversation(always(ord("x"), n_ctx=48))
    lengths = []
    for number in range(14):
        reply = chat.reply(f"message {number}")
        for _ in reply:
            assert 0 < chat.decoder.lengths[0] <= 48
        assert reply.finish == "length"
        assert len(reply.steps) == 12
        prompt = chat.prompt()
        assert prompt[0] == USER
        assert prompt.count(USER) == prompt.count(ASSISTANT)
        lengths.append(len(prompt) + 11)
    assert chat.left_out == len(chat.turns) - 2 * prompt.count(USER) > 0
    assert sum(len(turn.ids) for turn in chat.turns) > 3 * 48
    assert max(lengths) <= 48


def test_after_dropping_a_turn_logits_equal_those_of_a_new_cache() -> None:
    loaded = small_model(n_ctx=48)
    chat = conversation(loaded, temperature=0.0, max_new_tokens=20, stop_tokens=())
    for number in range(4):
        drawn = answer_ids(chat.reply(f"message {number}"))
    assert chat.left_out
    kept = chat.prompt() + drawn[:-1]
    logits = loaded.model(torch.tensor([kept]))[0, -1, : loaded.tokenizer.vocab_size]
    assert int(logits.argmax()) == drawn[-1]


def test_an_answer_ends_at_the_end_of_the_context() -> None:
    chat = conversation(always(ord("x"), n_ctx=24), max_new_tokens=100)
    reply = chat.reply("Hi")
    assert answer_ids(reply) == [ord("x")] * 20
    assert reply.finish == chat.turns[-1].finish == "length"


def test_a_message_longer_than_the_context_is_refused_and_changes_nothing() -> None:
    chat = conversation()
    answer_ids(chat.reply("Hi"))
    before = chat.messages()
    with pytest.raises(UserError, match="the message has 200 tokens"):
        chat.reply("x" * 200)
    with pytest.raises(UserError, match="the message is empty"):
        chat.reply(" \n")
    with pytest.raises(UserError, match="the message has 200 tokens"):
        chat.edit("x" * 200)
    assert chat.messages() == before


def test_undo_removes_the_last_message_and_its_answer() -> None:
    chat = conversation(temperature=0.0)
    answer_ids(chat.reply("Hi"))
    before = chat.messages()
    answer_ids(chat.reply("How?"))
    assert chat.undo() == "How?"
    assert chat.messages() == before
    again = answer_ids(chat.reply("How?"))
    tokens = torch.tensor([chat.prompt()])
    anew = SOLUTION.generate(LOADED.model, tokens, len(again), temperature=0.0)
    assert again == anew[0, tokens.shape[1] :].tolist()


def test_retry_draws_another_answer_to_the_same_message() -> None:
    chat = conversation()
    first = answer_ids(chat.reply("Hi"))
    second = answer_ids(chat.retry())
    assert first != second
    assert [turn.role for turn in chat.turns] == ["user", "assistant"]
    assert conversation_again(("Hi", None)) == [first, second]


def conversation_again(texts: tuple[str | None, ...]) -> list[list[int]]:
    chat = conversation()
    return [answer_ids(chat.retry() if text is None else chat.reply(text)) for text in texts]


def test_edit_replaces_the_last_message_and_answers_it() -> None:
    chat = conversation()
    answer_ids(chat.reply("Hi"))
    answer_ids(chat.reply("How?"))
    answer_ids(chat.edit("Who?"))
    assert [turn.text for turn in chat.turns if turn.role == "user"] == ["Hi", "Who?"]


@pytest.mark.parametrize("method", ["undo", "retry"])
def test_undo_retry_and_edit_of_an_empty_conversation_are_refused(method: str) -> None:
    with pytest.raises(UserError, match="send a message first"):
        getattr(conversation(), method)()


def test_a_stopped_reply_keeps_its_text_and_the_conversation_can_continue() -> None:
    chat = conversation(always(ord("x")))
    reply = chat.reply("Hi")
    for _ in reply:
        if len(reply.steps) == 3:
            reply.stop()
    assert (reply.text, reply.finish) == ("xxx", "interrupted")
    assert chat.turns[-1].ids == [ASSISTANT, *b"xxx", END]
    answer_ids(chat.reply("More"))
    assert chat.prompt()[: 4 + 5] == [USER, *b"Hi", END, ASSISTANT, *b"xxx", END]


def test_an_abandoned_reply_does_not_change_the_next_one() -> None:
    chat = conversation(always(ord("x")))
    abandoned = iter(chat.reply("Hi"))
    next(abandoned)
    following = chat.reply("More")
    next(iter(following))
    assert list(abandoned) == []
    assert [turn.text for turn in chat.turns] == ["Hi", "x", "More", "x"]


def test_ids_without_a_token_in_a_padded_model_are_never_drawn() -> None:
    loaded = small_model()
    config = SOLUTION.TransformerConfig(
        d_model=16, n_layers=2, n_heads=2, n_ctx=96, d_vocab=700, init_std=0.3
    )
    padded = LoadedModel("padded", SOLUTION.Transformer(config).eval(), loaded.tokenizer)
    chat = conversation(padded, max_new_tokens=60, temperature=5.0)
    drawn = answer_ids(chat.reply("Hi")) + answer_ids(chat.retry()) + answer_ids(chat.retry())
    assert max(drawn) < loaded.tokenizer.vocab_size


def test_prepare_reads_a_saved_conversation(tmp_path: Path) -> None:
    chat = conversation(always(ord("x")))
    answer_ids(chat.reply("Hé <|user|>"))
    chat.save(tmp_path / "chat.jsonl")
    audit = Audit()
    source = open_chat_source(
        str(tmp_path / "chat.jsonl"), shape=None, lang=None, paths=None, limit=None, audit=audit
    )
    (found,) = [conform(raw, audit) for raw in source.conversations]
    assert found is not None
    assert [turn.text for turn in found.turns] == ["Hé <|user|>", "x" * 12]
    assert json.loads((tmp_path / "chat.jsonl").read_text())["messages"] == chat.messages()


@pytest.mark.parametrize(("tokenizer", "preset"), [("byte", "chat-oasst")])
def test_a_model_without_roles_is_refused_with_the_command_that_adds_them(
    tokenizer: str, preset: str
) -> None:
    with pytest.raises(UserError, match=f"not trained on conversations; .* --preset {preset} "):
        conversation(small_model(tokenizer=tokenizer))


def test_an_answer_is_not_changed_by_a_later_turn() -> None:
    chat = conversation()
    for text in ("Hi", "How?", "Why?"):
        answer_ids(chat.reply(text))
    prompt_and_answer = torch.tensor([chat.prompt()])
    logits = LOADED.model(prompt_and_answer)
    length = len(chat.turns[0].ids) + len(chat.turns[1].ids)
    alone = LOADED.model(prompt_and_answer[:, :length])
    torch.testing.assert_close(logits[:, :length], alone)
