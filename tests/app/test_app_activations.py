"""Test the page's views of activations: heads, lens, ablations, and learners' masks."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from app_pages import MASK, SHAPE, WRONG_MASK, lines, random_model

from gpt2_small import binding
from gpt2_small.app import activation_views, activations
from gpt2_small.app.models import ShownModel
from gpt2_small.generation import LoadedModel
from gpt2_small.model.hooks import hooks, run_with_cache
from gpt2_small.tokenizers.registry import make_tokenizer


def test_a_heads_weights_equal_the_cached_pattern(client, shown, ids) -> None:
    _, cache = run_with_cache(shown.model, torch.tensor([ids]))
    asked = {"ids": ids, "layer": 1, "head": 2}
    content = client.post("/api/head", json=asked).content
    found = np.frombuffer(content, "<f4").reshape(len(ids), len(ids))
    assert np.array_equal(found, cache["blocks.1.attn.hook_pattern"][0, 2].numpy())


def test_the_last_row_of_the_logit_lens_equals_the_models_prediction(shown, ids) -> None:
    observation = activations.observe(shown.model, tuple(ids))
    unembedded = activations.unembed(shown.model, observation.resid[-1])
    assert torch.equal(unembedded, shown.model(torch.tensor([ids]))[0])


def test_the_logit_lens_has_the_residual_stream_of_every_layer(client, shown, ids) -> None:
    rows = lines(client, "lens", ids=ids, start=2, stop=5)
    _, cache = run_with_cache(shown.model, torch.tensor([ids]))
    resid = cache["blocks.1.hook_resid_pre"]
    logits = shown.model.ln_final(resid)[0] @ shown.model.embed.W_E.T
    expected = logits[2:5, : shown.tokenizer.vocab_size].argmax(dim=-1).tolist()
    assert [cell["candidates"][0][0] for cell in rows[1]["cells"]] == expected
    assert len(rows) == SHAPE["n_layers"] + 1


def test_norms_equal_those_of_the_cached_activations(client, shown, ids) -> None:
    norms = lines(client, "look", ids=ids)[0]["norms"]
    _, cache = run_with_cache(shown.model, torch.tensor([ids]))
    expected = cache["blocks.1.hook_mlp_out"][0].norm(dim=-1).tolist()
    assert norms["mlp_out"][1] == pytest.approx(expected, rel=1e-6)
    last = cache["blocks.1.hook_resid_post"][0].norm(dim=-1).tolist()
    assert norms["resid"][-1] == pytest.approx(last, rel=1e-6)


def test_ablating_a_head_equals_a_hook_that_zeroes_it(client, shown, ids) -> None:
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


def test_ablating_a_head_leaves_the_weights_unchanged(client, shown, ids) -> None:
    before = [parameter.clone() for parameter in shown.model.parameters()]
    client.post("/api/ablate", json={"ids": ids, "heads": [[0, 0]]})
    lines(client, "ablations", ids=ids)
    after = shown.model.parameters()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_each_heads_ablation_is_of_that_head(client, ids) -> None:
    found = lines(client, "ablations", ids=ids)
    assert [(item["layer"], item["head"]) for item in found] == [
        (layer, head) for layer in range(2) for head in range(3)
    ]
    one = client.post("/api/ablate", json={"ids": ids, "heads": [[1, 0]]}).json()
    assert found[3]["loss"] == pytest.approx(one["after"]["loss"], abs=1e-6)


def test_a_correct_model_does_not_look_ahead(client, ids) -> None:
    _, ahead, *layers = lines(client, "look", ids=ids)
    assert ahead == {"looks_ahead": None}
    assert all(head["ahead"] == 0 for layer in layers for head in layer["of_heads"])


def test_a_heads_attention_is_divided_into_named_shares() -> None:
    ids = [1, 2, 1, 2]
    previous = torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])
    shares = activation_views.shares(ids, previous)
    assert shares["previous"] == 1
    assert shares["same"] == 0
    assert shares["itself"] == 0
    assert shares["after"] == pytest.approx(1.0)  # all weight on the token after the earlier copy


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
def test_the_pattern_of_a_file_without_taps_is_computed_exactly(solution, name: str) -> None:
    module = binding.load(binding.reference_path().parent / f"tests/checker/right_files/{name}.py")
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
    """Return a model of the edited reference, with the weights of a random reference."""
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
    return ShownModel("main", module, LoadedModel("mine", model, make_tokenizer("byte")))


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
def test_a_wrong_mask_is_detected(solution, mask: str, taps: bool) -> None:
    before, after = MASKS[mask]
    mine = learners(solution, before, after, taps=taps)
    reference = learners(solution, before, before)
    ids = mine.tokenizer.encode("A wrong mask")
    _, ahead, *layers = activation_views.overview(
        mine, activation_views.ActivationCache(), ids, reference
    )
    assert ahead["looks_ahead"] is not None
    for layer in layers:
        assert layer["origin"] == ("tap" if taps else "probe")
        assert all(head["ahead"] > 1e-3 for head in layer["of_heads"])
        assert all(head["unlike"] > 1e-3 for head in layer["of_heads"])


def test_a_head_equal_to_the_references_is_not_marked_as_different(solution) -> None:
    unchanged = "scores = similarity + mask"
    mine, reference = (learners(solution, unchanged, unchanged) for _ in range(2))
    ids = mine.tokenizer.encode("The same heads")
    _, _, *layers = activation_views.overview(
        mine, activation_views.ActivationCache(), ids, reference
    )
    assert all(head["unlike"] < 1e-5 for layer in layers for head in layer["of_heads"])
