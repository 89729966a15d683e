"""Test the requests that `serve` accepts and refuses."""

import json

import httpx
import pytest
from app_pages import SHAPE, TEXT, running, small_run

from gpt2_small.app.models import Models
from gpt2_small.app.openai.interface import served
from gpt2_small.app.serving.guard import Guard
from gpt2_small.errors import UserError


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
