"""Test `serve` with OpenAI's client against the model's own results."""

import pytest
import torch
from app_pages import TEXT

from gpt2_small.app.chat_messages import turn
from gpt2_small.generation import Chat, SamplingOptions, Stream


def expected_rows(interface, prompt, **options):
    stream = Stream(
        interface.shown.solution, interface.shown.loaded, [prompt], SamplingOptions(**options)
    )
    list(stream)
    return stream.rows


def prompt_log_probs(interface, ids):
    model, known = interface.shown.model, interface.shown.tokenizer.vocab_size
    logits = model(torch.tensor([ids]))[0, :-1, :known]
    return logits.log_softmax(dim=-1)


def test_the_one_model_is_listed_and_found(client, name, interface) -> None:
    assert name == interface.models.name
    assert client.models.retrieve(name).id == name


def test_a_completion_equals_a_streams_text(client, name, interface) -> None:
    answer = client.completions.create(
        model=name, prompt=TEXT, max_tokens=9, seed=4, temperature=0.9, logprobs=3
    )
    [row] = expected_rows(interface, TEXT, max_new_tokens=9, seed=4, temperature=0.9, candidates=0)
    assert answer.choices[0].text == row.text
    assert answer.choices[0].finish_reason == row.finish
    lps = [step.log_probability for step in row.steps]
    assert answer.choices[0].logprobs.token_logprobs == lps
    assert answer.usage.completion_tokens == len(row.steps)
    assert all(3 <= len(top) <= 4 for top in answer.choices[0].logprobs.top_logprobs)


def test_the_pieces_of_a_streamed_completion_add_up_to_the_whole(client, name) -> None:
    asked = dict(model=name, prompt=[TEXT, "Another"], max_tokens=8, seed=2, n=2, echo=True)
    unstreamed = client.completions.create(**asked)
    texts, finishes = [""] * 4, {}
    for chunk in client.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            finishes[choice.index] = choice.finish_reason or finishes.get(choice.index)
    assert texts == [choice.text for choice in unstreamed.choices]
    assert finishes == {choice.index: choice.finish_reason for choice in unstreamed.choices}


def test_a_stream_ends_with_its_usage_if_requested(client, name) -> None:
    options = {"include_usage": True}
    chunks = list(
        client.completions.create(
            model=name, prompt="a", max_tokens=3, stream=True, stream_options=options, seed=1
        )
    )
    assert chunks[-1].usage.prompt_tokens == 1


def test_an_echo_scores_the_prompt(client, name, interface) -> None:
    ids = interface.shown.tokenizer.encode(TEXT)
    answer = client.completions.create(
        model=name, prompt=ids, max_tokens=1, echo=True, logprobs=1, temperature=0
    )
    found = answer.choices[0].logprobs
    log_probs = prompt_log_probs(interface, ids)
    assert answer.choices[0].text.startswith(TEXT)
    assert found.token_logprobs[0] is None
    assert found.top_logprobs[0] is None
    expected = log_probs.gather(1, torch.tensor(ids)[1:, None]).flatten().tolist()
    assert found.token_logprobs[1:-1] == pytest.approx(expected, abs=1e-6)
    for row, top in zip(log_probs, found.top_logprobs[1:-1], strict=True):
        assert max(top.values()) == pytest.approx(row.max().item(), abs=1e-6)
    assert len(found.tokens) == len(ids) + 1
    assert found.text_offset[: len(ids)] == list(range(len(ids)))


def test_an_echo_without_new_tokens_returns_only_the_prompt(client, name) -> None:
    answer = client.completions.create(model=name, prompt=TEXT, max_tokens=0, echo=True, logprobs=0)
    assert answer.choices[0].text == TEXT
    assert answer.usage.completion_tokens == 0


def test_the_same_seed_gives_the_same_text(client, name) -> None:
    asked = dict(model=name, prompt=TEXT, max_tokens=12, seed=11)
    first, second = (client.completions.create(**asked).choices[0].text for _ in range(2))
    assert first == second
    assert client.completions.create(**asked | {"seed": 12}).choices[0].text != first


def test_a_completion_ends_before_a_stop_string(client, name) -> None:
    asked = dict(model=name, prompt=TEXT, max_tokens=30, seed=3)
    unstreamed = client.completions.create(**asked).choices[0].text
    stop = unstreamed[5]
    answer = client.completions.create(**asked, stop=[stop]).choices[0]
    assert answer.text == unstreamed.split(stop)[0]
    assert answer.finish_reason == "stop"


def test_a_chat_completion_equals_the_reply_of_a_chat(client, name, interface) -> None:
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "A cat"},
    ]
    asked = dict(model=name, messages=messages, max_tokens=7, seed=5)
    answer = client.chat.completions.create(**asked, logprobs=True, top_logprobs=2)
    options = SamplingOptions(max_new_tokens=7, seed=5, candidates=0)
    talk = Chat(interface.shown.solution, interface.shown.loaded, options)
    tokenizer = interface.shown.tokenizer
    talk.turns = [turn(interface.shown, message) for message in messages[:2]]
    reply = talk.reply("A cat")
    list(reply)
    assert answer.choices[0].message.content == reply.text
    first = answer.choices[0].logprobs.content[0]
    assert first.logprob == reply.steps[0].log_probability
    assert bytes(first.bytes) == tokenizer.decode_bytes([reply.steps[0].id])
    assert len(first.top_logprobs) == 2
    streamed = client.chat.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == reply.text
