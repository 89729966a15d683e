"""Test the page's files, texts, scores and refused requests."""

import asyncio
import json
import math
import threading
from pathlib import Path

import pytest
import torch
from app_pages import MASK, SHAPE, TEXT, lines, page_of, random_model

from gpt2_small import binding
from gpt2_small.app import token_views
from gpt2_small.app.models import Models, ShownModel
from gpt2_small.app.page import learning
from gpt2_small.generation import LoadedModel, SamplingOptions, Stream
from gpt2_small.stories import StoriesTokenizer
from gpt2_small.weights import export_hugging_face


def test_the_page_and_its_files_are_served_with_content_types(client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "static/main.js" in page.text
    script = client.get("/static/main.js")
    assert script.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "name", ["..%2Fpage.py", "missing.js", "%2e%2e%2fmodels.py", "page.py", "views"]
)
def test_no_other_file_is_served(client, name: str) -> None:
    assert client.get(f"/static/{name}").status_code in (400, 404)


def test_the_state_names_the_model_and_every_checkpoint(client, run) -> None:
    state = client.get("/api/state").json()
    assert [model["key"] for model in state["models"]] == ["main", "step:3", "step:9"]
    assert state["sha256"] == binding.sha256(binding.bound())
    assert state["model"] == str(run)


def test_a_continuation_equals_that_of_a_stream(client, shown) -> None:
    head, *steps = lines(client, "continue", text=TEXT, seed=5, max_new_tokens=12, top_k=40)
    options = SamplingOptions(seed=5, max_new_tokens=12, top_k=40, candidates=10)
    expected = list(Stream(shown.solution, shown.loaded, [TEXT], options))
    assert [step["id"] for step in steps] == [step.id for step in expected]
    assert [step["lp"] for step in steps] == [step.log_probability for step in expected]
    assert "".join(step["text"] for step in steps) == "".join(step.text for step in expected)
    assert steps[-1]["finish"] == "length"
    assert head["seed"] == 5


def test_a_branch_inside_a_character_decodes_to_the_text_of_its_tokens(client, shown, ids) -> None:
    inside = [*ids, *"é".encode()[:1]]
    head, *steps = lines(client, "continue", ids=inside, seed=5, max_new_tokens=30)
    drawn = [step["id"] for step in steps]
    assert "".join(piece["text"] for piece in [*head["tokens"], *steps]) == (
        shown.tokenizer.decode([*inside, *drawn])
    )


def test_scores_are_the_models_log_probabilities_and_ranks(client, shown, ids) -> None:
    found = lines(client, "scores", ids=ids)
    logits = shown.model(torch.tensor([ids]))[0, :, : shown.tokenizer.vocab_size]
    log_probs = logits.log_softmax(dim=-1)
    assert found[0]["lp"] is None
    for position, token in enumerate(found[1:], start=1):
        row = log_probs[position - 1]
        assert token["lp"] == pytest.approx(row[ids[position]].item(), abs=1e-6)
        assert token["rank"] == sorted(row.tolist(), reverse=True).index(row[ids[position]]) + 1


def test_of_a_text_longer_than_the_context_the_end_is_scored(client) -> None:
    long = [65] * (SHAPE["n_ctx"] + 5)
    found = lines(client, "scores", ids=long)
    assert [token["lp"] is None for token in found] == [n < 6 for n in range(len(long))]


def test_greedy_sampling_has_one_candidate_of_probability_1(client) -> None:
    answer = client.post("/api/next", json={"text": TEXT, "temperature": 0}).json()
    assert [candidate[3] for candidate in answer["candidates"]] == [1.0] + [0.0] * 9
    assert answer["kept"] == 1


@pytest.mark.parametrize(
    ("path", "asked", "word"),
    [
        ("continue", {"text": "a", "temperature": -1}, "temperature"),
        ("continue", {"text": "a", "temperature": "hot"}, "temperature"),
        ("continue", {"text": "a", "top_p": 2}, "top_p"),
        ("continue", {"text": "a", "top_k": 1.5}, "top_k"),
        ("continue", {"text": "a", "max_new_tokens": 10**6}, "max_new_tokens"),
        ("continue", {"text": "a", "seed": -1}, "seed"),
        ("continue", {"text": 7}, "text is 7"),
        ("continue", {"text": "x" * 300_000}, "characters"),
        ("continue", {"ids": [1, 999]}, "999"),
        ("continue", {"ids": [1, True]}, "token ids"),
        ("continue", {"text": "a", "model": "step:4"}, "step:4"),
        ("continue", {"text": "a", "stop": [""]}, "stop"),
        ("look", {"ids": []}, "no text"),
        ("look", {"ids": [65] * 41}, "reads 40"),
        ("head", {"ids": [65], "layer": 2, "head": 0}, "layer"),
        ("head", {"ids": [65], "layer": 0}, "head"),
        ("ablate", {"ids": [65], "heads": [[0]]}, "its layer"),
        ("ablate", {"ids": [65], "heads": "all"}, "pairs"),
        ("ablate", {"ids": [65], "heads": [[0, 0]] * 65}, "up to 64 pairs"),
        ("ablate", {"ids": [], "heads": []}, "no text"),
        ("lens", {"ids": [65], "start": 3, "stop": 2}, "stop"),
        ("learn/key", {"key": "q"}, "key"),
    ],
)
def test_an_impossible_request_is_refused_in_one_sentence(client, path, asked, word) -> None:
    response = client.post(f"/api/{path}", json=asked)
    assert response.status_code == 400
    message = response.json()["error"]["message"]
    assert word in message
    assert "Traceback" not in message


@pytest.mark.parametrize("body", ["", "[]", "{", "[" * 100_000, '"text"'])
def test_a_request_body_other_than_a_json_object_is_refused(client, body: str) -> None:
    headers = {"content-type": "application/json"}
    assert client.post("/api/tokens", content=body, headers=headers).status_code == 400


def test_other_requests_are_answered_while_a_long_log_is_read(monkeypatch, tmp_path) -> None:
    answered = threading.Event()

    def read(_folder: Path) -> list:
        assert answered.wait(20)
        return []

    async def follow() -> dict:
        asyncio.get_running_loop().call_later(0.01, answered.set)
        return await anext(learning.log_of(tmp_path, asyncio.Event()))

    monkeypatch.setattr(learning, "read_log", read)
    assert asyncio.run(follow()) == {"records": []}


def test_a_form_sent_by_another_page_is_refused(client) -> None:
    response = client.post("/api/tokens", data={"text": "a"})
    assert response.status_code == 400
    assert "application/json" in response.json()["error"]["message"]


def test_the_grammars_true_probabilities_are_returned_beside_the_models(solution) -> None:
    tokenizer = StoriesTokenizer()
    model = random_model(solution, 1, **SHAPE | dict(d_vocab=tokenizer.vocab_size))
    shown = ShownModel("main", solution, LoadedModel("stories", model, tokenizer))
    ids = tokenizer.encode("Once upon a time Tom was")
    found = [item for item in token_views.scores(shown, ids, 5) if item is not None]
    assert found[4]["true_lp"] == 0.0  # "upon a" is always followed by "time"
    assert found[5]["true_lp"] == pytest.approx(math.log(1 / 16))
    log_probs = model(torch.tensor([ids]))[0, 4].log_softmax(dim=-1)
    truth = {id: share for id, _, share in found[5]["truth"]}
    expected = sum(p * (math.log(p) - log_probs[id].item()) for id, p in truth.items())
    assert found[5]["divergence"] == pytest.approx(expected, abs=1e-5)


def test_a_text_outside_the_grammar_has_no_true_probabilities(solution) -> None:
    tokenizer = StoriesTokenizer()
    ids = tokenizer.encode("time time")
    assert token_views.true_distributions(tokenizer, [*ids, 0])[-1] is None


NOT_FINITE = (MASK, MASK.replace("1", "0"))  # the first position attends to nothing


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("look", {}),
        ("lens", {"start": 0, "stop": 3}),
        ("scores", {}),
        ("ablations", {}),
        ("ablate", {"heads": [[0, 0]]}),
        ("next", {}),
    ],
)
def test_numbers_that_are_not_finite_are_null_in_valid_json(run, tmp_path, path, asked) -> None:
    mine = learners_file(tmp_path, *NOT_FINITE)
    with page_of(Models(str(run), solution=binding.load(mine))) as (client, _):
        response = client.post(f"/api/{path}", json={"text": TEXT} | asked)
    assert response.status_code == 200, response.text
    for line in response.text.splitlines():
        json.loads(line, parse_constant=refuse)
    assert "null" in response.text


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def learners_file(folder: Path, before: str = "", after: str = "") -> Path:
    """Write the reference with an edit as a learner's file."""
    path = folder / "mine.py"
    path.write_text(binding.reference_path().read_text().replace(before, after) + "\n# mine\n")
    return path


@pytest.mark.parametrize("kind", ["run", "exported"])
def test_a_corrected_learners_file_is_loaded_again(run, tmp_path, kind: str) -> None:
    model = run if kind == "run" else export_hugging_face(run, tmp_path / "exported")
    mine = learners_file(tmp_path)
    text = mine.read_text()
    with page_of(Models(str(model), solution=binding.load(mine))) as (client, _):
        first = client.post("/api/scores", json={"text": TEXT}).text
        mine.write_text("x = (")
        state = client.get("/api/state").json()
        assert "never closed" in state["problem"]
        assert state["models"][0]["key"] == "reference"
        mine.write_text(text + "\n# mended\n")
        state = client.get("/api/state").json()
        assert (state["problem"], state["models"][0]["key"]) == (None, "main")
        assert client.post("/api/scores", json={"text": TEXT}).text == first


def test_exit_in_a_learners_transformer_is_reported_with_its_line(run, tmp_path) -> None:
    mine = learners_file(tmp_path)
    with page_of(Models(str(run), solution=binding.load(mine))) as (client, _):
        text = mine.read_text()
        marked = "self.blocks = nn.ModuleList("
        assert marked in text
        mine.write_text(text.replace(marked, "exit()\n        " + marked))
        assert "calls exit()" in client.get("/api/state").json()["problem"]
