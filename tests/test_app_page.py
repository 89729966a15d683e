"""The page's answers: what it shows is what the model does."""

import json
import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from app_pages import MASK, SHAPE, TEXT, WRONG_MASK, page_of, random_model, small_run

from gpt2_small import binding
from gpt2_small.app import activation_views, activations, token_views
from gpt2_small.app.models import Models, Shown
from gpt2_small.generation import LoadedModel, SamplingOptions, Stream
from gpt2_small.model.hooks import hooks, run_with_cache
from gpt2_small.stories import StoriesTokenizer
from gpt2_small.tokenizers.registry import make_tokenizer


@pytest.fixture(scope="module")
def run(solution, tmp_path_factory):
    return small_run(solution, tmp_path_factory.mktemp("run") / "small", steps=(3, 9))


@pytest.fixture(scope="module")
def models(run):
    return Models(str(run))


@pytest.fixture(scope="module")
def client(models):
    with page_of(models) as (client, _):
        yield client


@pytest.fixture(scope="module")
def shown(models) -> Shown:
    return models.get("main")


@pytest.fixture(scope="module")
def ids(shown) -> list[int]:
    return shown.tokenizer.encode(TEXT)


def lines(client: Any, path: str, **asked: Any) -> list[dict[str, Any]]:
    response = client.post(f"/api/{path}", json=asked)
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def test_the_page_and_its_files_are_served_with_their_types(client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "static/main.js" in page.text
    script = client.get("/static/main.js")
    assert script.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("name", ["..%2Fpage.py", "missing.js", "%2e%2e%2fmodels.py", "page.py"])
def test_no_other_file_is_served(client, name: str) -> None:
    assert client.get(f"/static/{name}").status_code in (400, 404)


def test_the_state_names_the_model_and_every_checkpoint(client, run) -> None:
    state = client.get("/api/state").json()
    assert [model["key"] for model in state["models"]] == ["main", "step:3", "step:9"]
    assert state["sha256"] == binding.sha256(binding.bound())
    assert state["model"] == str(run)


def test_a_text_is_continued_as_a_stream_continues_it(client, shown) -> None:
    head, *steps = lines(client, "continue", text=TEXT, seed=5, max_new_tokens=12, top_k=40)
    options = SamplingOptions(seed=5, max_new_tokens=12, top_k=40, candidates=10)
    expected = list(Stream(shown.solution, shown.loaded, [TEXT], options))
    assert [step["id"] for step in steps] == [step.id for step in expected]
    assert [step["lp"] for step in steps] == [step.log_probability for step in expected]
    assert "".join(step["text"] for step in steps) == "".join(step.text for step in expected)
    assert steps[-1]["finish"] == "length"
    assert head["seed"] == 5


def test_a_branch_inside_a_character_adds_up_to_the_text_of_its_tokens(client, shown, ids) -> None:
    inside = [*ids, *"é".encode()[:1]]
    head, *steps = lines(client, "continue", ids=inside, seed=5, max_new_tokens=30)
    drawn = [step["id"] for step in steps]
    assert "".join(piece["text"] for piece in [*head["tokens"], *steps]) == (
        shown.tokenizer.decode([*inside, *drawn])
    )


def test_scores_are_the_log_probabilities_and_ranks_of_the_model(client, shown, ids) -> None:
    found = lines(client, "scores", ids=ids)
    logits = shown.model(torch.tensor([ids]))[0, :, : shown.tokenizer.vocab_size]
    log_probs = logits.log_softmax(dim=-1)
    assert found[0]["lp"] is None
    for position, token in enumerate(found[1:], start=1):
        row = log_probs[position - 1]
        assert token["lp"] == pytest.approx(row[ids[position]].item(), abs=1e-6)
        assert token["rank"] == sorted(row.tolist(), reverse=True).index(row[ids[position]]) + 1


def test_the_end_of_a_text_longer_than_the_context_is_scored(client) -> None:
    long = [65] * (SHAPE["n_ctx"] + 5)
    found = lines(client, "scores", ids=long)
    assert [token["lp"] is None for token in found] == [n < 6 for n in range(len(long))]


def test_greedy_draws_the_likeliest_alone(client) -> None:
    answer = client.post("/api/next", json={"text": TEXT, "temperature": 0}).json()
    assert [candidate[3] for candidate in answer["candidates"]] == [1.0] + [0.0] * 9
    assert answer["kept"] == 1


def test_a_head_is_the_cache_s_pattern(client, shown, ids) -> None:
    _, cache = run_with_cache(shown.model, torch.tensor([ids]))
    asked = {"ids": ids, "layer": 1, "head": 2}
    content = client.post("/api/head", json=asked).content
    found = np.frombuffer(content, "<f4").reshape(len(ids), len(ids))
    assert np.array_equal(found, cache["blocks.1.attn.hook_pattern"][0, 2].numpy())


def test_the_last_row_of_the_lens_is_what_the_model_says(shown, ids) -> None:
    observation = activations.observe(shown.model, tuple(ids))
    said = activations.unembed(shown.model, observation.resid[-1])
    assert torch.equal(said, shown.model(torch.tensor([ids]))[0])


def test_the_lens_reads_the_residual_stream_of_every_layer(client, shown, ids) -> None:
    rows = lines(client, "lens", ids=ids, start=2, stop=5)
    _, cache = run_with_cache(shown.model, torch.tensor([ids]))
    resid = cache["blocks.1.hook_resid_pre"]
    logits = shown.model.ln_final(resid)[0] @ shown.model.embed.W_E.T
    expected = logits[2:5, : shown.tokenizer.vocab_size].argmax(dim=-1).tolist()
    assert [cell["candidates"][0][0] for cell in rows[1]["cells"]] == expected
    assert len(rows) == SHAPE["n_layers"] + 1


def test_the_norms_are_those_of_the_cache(client, shown, ids) -> None:
    norms = lines(client, "look", ids=ids)[0]["norms"]
    _, cache = run_with_cache(shown.model, torch.tensor([ids]))
    expected = cache["blocks.1.hook_mlp_out"][0].norm(dim=-1).tolist()
    assert norms["mlp_out"][1] == pytest.approx(expected, rel=1e-6)
    last = cache["blocks.1.hook_resid_post"][0].norm(dim=-1).tolist()
    assert norms["resid"][-1] == pytest.approx(last, rel=1e-6)


def test_leaving_a_head_out_is_what_a_hook_that_zeroes_it_does(client, shown, ids) -> None:
    asked = {"ids": ids, "heads": [[0, 1], [1, 2]], "position": 4}
    answer = client.post("/api/ablate", json=asked).json()

    def without(head: int) -> Any:
        def zero(z: torch.Tensor) -> torch.Tensor:
            z = z.clone()
            z[:, :, head] = 0
            return z

        return zero

    zeroed = {"blocks.0.attn.hook_z": without(1), "blocks.1.attn.hook_z": without(2)}
    tokens = torch.tensor([ids])
    with hooks(shown.model, zeroed):
        logits = shown.model(tokens)[0, :, : shown.tokenizer.vocab_size]
    log_probs = logits.log_softmax(dim=-1)
    expected = -log_probs[:-1].gather(1, tokens[0, 1:, None]).mean().item()
    assert answer["after"]["loss"] == pytest.approx(expected, abs=1e-5)
    assert answer["after"]["candidates"][0][0] == log_probs[4].argmax().item()
    assert answer["before"]["loss"] != pytest.approx(answer["after"]["loss"], abs=1e-3)


def test_the_weights_are_the_same_after_a_head_was_left_out(client, shown, ids) -> None:
    before = [parameter.clone() for parameter in shown.model.parameters()]
    client.post("/api/ablate", json={"ids": ids, "heads": [[0, 0]]})
    lines(client, "ablations", ids=ids)
    after = shown.model.parameters()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_every_head_s_ablation_is_the_one_of_that_head(client, ids) -> None:
    found = lines(client, "ablations", ids=ids)
    assert [(item["layer"], item["head"]) for item in found] == [
        (layer, head) for layer in range(2) for head in range(3)
    ]
    one = client.post("/api/ablate", json={"ids": ids, "heads": [[1, 0]]}).json()
    assert found[3]["loss"] == pytest.approx(one["after"]["loss"], abs=1e-6)


def test_a_right_model_does_not_look_ahead(client, ids) -> None:
    _, ahead, *layers = lines(client, "look", ids=ids)
    assert ahead == {"looks_ahead": None}
    assert all(head["ahead"] == 0 for layer in layers for head in layer["of_heads"])


def test_the_shares_of_a_head_are_named_by_where_its_weight_goes() -> None:
    ids = [1, 2, 1, 2]
    previous = torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    shares = activation_views.shares(ids, previous)
    assert shares["previous"] == 1
    assert shares["same"] == 0
    assert shares["itself"] == 0
    assert shares["after"] == pytest.approx(1.0)  # what followed the earlier copy stands before


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
        ("lens", {"ids": [65], "start": 3, "stop": 2}, "stop"),
        ("learn/key", {"key": "q"}, "key"),
    ],
)
def test_a_request_that_cannot_be_is_answered_in_one_sentence(client, path, asked, word) -> None:
    response = client.post(f"/api/{path}", json=asked)
    assert response.status_code == 400
    message = response.json()["error"]["message"]
    assert word in message
    assert "Traceback" not in message


@pytest.mark.parametrize("body", ["", "[]", "{", "[" * 100_000, '"text"'])
def test_a_body_that_is_no_object_is_refused(client, body: str) -> None:
    headers = {"content-type": "application/json"}
    assert client.post("/api/tokens", content=body, headers=headers).status_code == 400


def test_a_form_of_another_page_is_refused(client) -> None:
    response = client.post("/api/tokens", data={"text": "a"})
    assert response.status_code == 400
    assert "application/json" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "name",
    [
        "einops_course",
        "heads_in_a_loop",
        "numpy_like",
        "jax_like",
        "torch_functional",
        "conv1d_and_where",
    ],
)
def test_the_pattern_of_a_file_without_taps_is_observed_as_it_is(solution, name: str) -> None:
    module = binding.load(binding.reference_path().parent / f"tests/right_files/{name}.py")
    fields = SHAPE | dict(d_vocab=20)
    reference = random_model(solution, 1, **fields)
    config = solution.TransformerConfig(**fields)
    attention = module.MultiHeadAttention(config).eval()
    attention.load_state_dict(reference.blocks[0].attn.state_dict(), strict=False)
    tokens = torch.randint(20, (1, 12), generator=torch.Generator().manual_seed(2))
    _, cache = run_with_cache(reference, tokens)
    reference.blocks[0].attn = attention
    attn_in = cache["blocks.0.ln1.hook_normalized"] * reference.blocks[0].ln1.w
    found = activations.pattern(reference, 0, (attn_in + reference.blocks[0].ln1.b)[0])
    assert found.origin in ("probe", "tap")
    expected = cache["blocks.0.attn.hook_pattern"][0]
    assert torch.allclose(found.values, expected, atol=1e-5)


def learners(solution: ModuleType, before: str, after: str, *, taps: bool = True) -> Any:
    """A model of the reference's text with an edit, with the weights of a random reference."""
    path = binding.reference_path()
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1
    text = text.replace(before, after)
    if not taps:
        text = text.replace("self.hook_pattern(", "(").replace("self.hook_pattern = nn.", "_ = nn.")
    module = binding.execute(text.encode(), path.with_name("my_gpt2.py"), "learners")
    fields = SHAPE | dict(d_vocab=256)
    model = module.Transformer(module.TransformerConfig(**fields)).eval()
    model.load_state_dict(random_model(solution, 4, **fields).state_dict())
    return Shown("main", module, LoadedModel("mine", model, make_tokenizer("byte")))


MASKS = {
    "one_too_late": (MASK, WRONG_MASK),
    "none": ("scores = similarity + mask", "scores = similarity"),
    "filled_with_zero": (
        "scores = similarity + mask",
        "scores = similarity.masked_fill(mask < 0, 0.0)",
    ),
}


@pytest.mark.parametrize("taps", [True, False], ids=["with_taps", "without_taps"])
@pytest.mark.parametrize("mask", MASKS)
def test_a_wrong_mask_shows(solution, mask: str, taps: bool) -> None:
    before, after = MASKS[mask]
    mine = learners(solution, before, after, taps=taps)
    reference = learners(solution, before, before)
    ids = mine.tokenizer.encode("A wrong mask")
    _, ahead, *layers = activation_views.overview(
        mine, activation_views.ObservationCache(), ids, reference
    )
    assert ahead["looks_ahead"] is not None
    for layer in layers:
        assert layer["origin"] == ("tap" if taps else "probe")
        assert all(head["ahead"] > 1e-3 for head in layer["of_heads"])
        assert all(head["unlike"] > 1e-3 for head in layer["of_heads"])


def test_a_head_like_the_reference_s_is_no_different_from_it(solution) -> None:
    unchanged = "scores = similarity + mask"
    mine, reference = (learners(solution, unchanged, unchanged) for _ in range(2))
    ids = mine.tokenizer.encode("The same heads")
    _, _, *layers = activation_views.overview(
        mine, activation_views.ObservationCache(), ids, reference
    )
    assert all(head["unlike"] < 1e-5 for layer in layers for head in layer["of_heads"])


def test_the_stories_truth_stands_beside_the_model(solution) -> None:
    tokenizer = StoriesTokenizer()
    model = random_model(solution, 1, **SHAPE | dict(d_vocab=tokenizer.vocab_size))
    shown = Shown("main", solution, LoadedModel("stories", model, tokenizer))
    ids = tokenizer.encode("Once upon a time Tom was")
    found = [item for item in token_views.scores(shown, ids, 5) if item is not None]
    assert found[4]["true_lp"] == 0.0  # after "upon a" comes "time" alone
    assert found[5]["true_lp"] == pytest.approx(math.log(1 / 16))
    log_probs = model(torch.tensor([ids]))[0, 4].log_softmax(dim=-1)
    truth = {id: share for id, _, share in found[5]["truth"]}
    expected = sum(p * (math.log(p) - log_probs[id].item()) for id, p in truth.items())
    assert found[5]["divergence"] == pytest.approx(expected, abs=1e-5)


def test_a_text_outside_the_grammar_has_no_truth(solution) -> None:
    tokenizer = StoriesTokenizer()
    ids = tokenizer.encode("time time")
    assert token_views.true_distributions(tokenizer, [*ids, 0])[-1] is None
