"""Test `serve` with OpenAI's client against the model's own results."""

import importlib
import json

import httpx
import pytest
import torch
from app_pages import SHAPE, TEXT, running, small_run

from gpt2_small.app.chat_messages import turn
from gpt2_small.app.models import Models
from gpt2_small.app.openai.interface import served
from gpt2_small.app.serving.guard import Guard
from gpt2_small.errors import UserError
from gpt2_small.generation import Chat, SamplingOptions, Stream


@pytest.fixture(scope="module")
def openai():
    """Import OpenAI's package, which takes a second."""
    return importlib.import_module("openai")


@pytest.fixture(scope="module", params=["byte-chat"])
def interface(request, solution, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "run"
    made = served(Models(str(small_run(solution, folder, tokenizer_name=request.param))))
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(interface):
    with running(Guard(interface.application(), token=None)) as found:
        yield found


@pytest.fixture(scope="module")
def client(address, openai):
    return openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def name(client):
    return client.models.list().data[0].id


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


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"temperature": -1}, "temperature"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"n": 0}, "n is 0"),
        ({"logprobs": 99}, "logprobs"),
        ({"presence_penalty": "much"}, "presence_penalty"),
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"prompt": ""}, ""),
        ({"prompt": [9999]}, "9999"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"prompt": [1] * 50, "echo": True, "logprobs": 1}, "50 tokens"),
        ({"extra_body": {"temprature": 1}}, "did you mean temperature"),
        ({"extra_body": {"stream_options": 3}}, "stream_options"),
        ({"extra_body": {"temperature": 10**400}}, "temperature is 1000"),
        ({"extra_body": {"add_special_tokens": "no"}}, "add_special_tokens"),
    ],
)
def test_an_impossible_request_gets_one_sentence_in_a_json_error(
    openai, client, name, changes, word
) -> None:
    asked = {"model": name, "prompt": TEXT, "max_tokens": 2} | changes
    if changes == {"prompt": ""}:  # an empty prompt begins with the end of text
        assert client.completions.create(**asked).choices
        return
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(**asked)
    assert word in caught.value.body["message"]
    assert "\n" not in caught.value.body["message"]


@pytest.mark.parametrize(
    "messages",
    [
        [],
        "hello",
        [{"role": "system", "content": "x"}],
        [{"role": "user", "content": 3}],
        [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
    ],
)
def test_messages_that_do_not_form_a_conversation_are_refused(
    openai, client, name, messages
) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=name, messages=messages)


HELLO = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"max_completion_tokens": 2, "max_tokens": 3}, "give one of them"),
        ({"top_logprobs": 5}, "top_logprobs needs logprobs"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "type text"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "content is None"),
    ],
)
def test_a_chat_with_fields_that_contradict_each_other_is_refused(
    address, name, changes, word
) -> None:
    asked = {"model": name, "messages": HELLO} | changes
    response = httpx.post(f"{address}/v1/chat/completions", json=asked)
    assert response.status_code == 400
    assert word in response.json()["error"]["message"]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_chats_length_is_read_from_either_field(address, name, field) -> None:
    asked = {"messages": HELLO, "seed": 1, "max_tokens": None, "max_completion_tokens": None}
    response = httpx.post(f"{address}/v1/chat/completions", json=asked | {field: 3})
    assert response.json()["usage"]["completion_tokens"] == 3


def test_text_parts_of_a_content_are_joined_by_line_breaks(address, name) -> None:
    parts = [{"type": "text", "text": "A"}, {"type": "text", "text": "cat"}]
    answers = [
        httpx.post(
            f"{address}/v1/chat/completions",
            json={"messages": [{"role": "user", "content": content}], "seed": 3, "max_tokens": 8},
        ).json()
        for content in (parts, "A\ncat")
    ]
    assert answers[0]["choices"] == answers[1]["choices"]
    assert answers[0]["usage"] == answers[1]["usage"]


def test_every_chunk_before_the_usage_has_a_null_usage(address, name) -> None:
    asked = {"prompt": TEXT, "max_tokens": 3, "seed": 1, "stream": True}
    asked["stream_options"] = {"include_usage": True}
    text = httpx.post(f"{address}/v1/completions", json=asked).text
    *chunks, last = [
        json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")
    ]
    assert [chunk["usage"] for chunk in chunks] == [None] * 3
    assert last["usage"]["completion_tokens"] == 3


def test_vllms_values_for_no_top_k_change_nothing(address, name) -> None:
    asked = {"prompt": TEXT, "max_tokens": 9, "seed": 2}
    answers = [
        httpx.post(f"{address}/v1/completions", json=asked | {"top_k": k}).json()["choices"]
        for k in (None, 0, -1)
    ]
    assert answers[0] == answers[1] == answers[2]


def test_surrogates_in_an_unknown_field_are_refused_in_valid_json(address, name) -> None:
    body = json.dumps({"prompt": "a", "\ud800": 1})
    headers = {"content-type": "application/json"}
    response = httpx.post(f"{address}/v1/completions", content=body, headers=headers)
    assert response.status_code == 400
    assert "is not supported here" in response.json()["error"]["message"]


def test_another_model_is_not_found(openai, client) -> None:
    with pytest.raises(openai.NotFoundError, match="this server has no model 'gpt-4'"):
        client.completions.create(model="gpt-4", prompt="a")


def test_chat_with_a_model_without_roles_is_refused_with_the_command_that_adds_them(
    openai, solution, tmp_path
) -> None:
    made = served(Models(str(small_run(solution, tmp_path / "plain"))))
    with running(Guard(made.application(), token=None)) as found:
        client = openai.OpenAI(base_url=f"{found}/v1", api_key="any", max_retries=0)
        with pytest.raises(openai.BadRequestError, match="prepare"):
            client.chat.completions.create(
                model=made.name, messages=[{"role": "user", "content": "Hi"}]
            )
    made.close()


def test_tokenize_and_detokenize_are_inverse(address, interface) -> None:
    asked = {"prompt": TEXT, "add_special_tokens": False}
    tokens = httpx.post(f"{address}/tokenize", json=asked).json()["tokens"]
    assert tokens == interface.shown.tokenizer.encode_ordinary(TEXT)
    assert httpx.post(f"{address}/detokenize", json={"tokens": tokens}).json() == {"prompt": TEXT}


@pytest.mark.parametrize("id", [-1, 259, 10**30])
def test_detokenize_refuses_an_id_outside_the_vocabulary(address, id: int) -> None:
    response = httpx.post(f"{address}/detokenize", json={"tokens": [id]})
    assert response.status_code == 400
    assert f"contains {id}" in response.json()["error"]["message"]


def test_detokenize_refuses_another_models_name(address) -> None:
    asked = {"tokens": [65], "model": "gpt-4"}
    assert httpx.post(f"{address}/detokenize", json=asked).status_code == 404


def test_a_text_equal_to_a_special_tokens_name_is_that_token(address, interface) -> None:
    info = httpx.get(f"{address}/tokenizer_info").json()
    asked = {"prompt": info["eos_token"], "add_special_tokens": False}
    [end] = httpx.post(f"{address}/tokenize", json=asked).json()["tokens"]
    assert end == interface.shown.tokenizer.end_of_text
    assert info["model_max_length"] == SHAPE["n_ctx"]


def test_a_page_of_another_origin_is_refused_by_serve(address) -> None:
    response = httpx.get(f"{address}/v1/models", headers={"origin": "http://example.org"})
    assert response.status_code == 403
    assert json.loads(response.text)["error"]["message"]


def test_serve_without_a_model_is_refused() -> None:
    with pytest.raises(UserError, match="no model"):
        served(Models(None))
