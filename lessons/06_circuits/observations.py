"""Observe the functions of the circuits lesson, and compute expected results independently."""

from functools import cache, partial
from types import ModuleType

import torch
from torch import Tensor, nn

from gpt2_small import binding
from gpt2_small.checker.claims.observing.observation import Observation
from gpt2_small.checker.claims.observing.probes import draws, tensor, text
from gpt2_small.checker.claims.observing.refusals import ending
from gpt2_small.checker.stored_reference import activation_names, comparable, stored_reference

NAME = "blocks.0.hook_resid_pre"


@cache
def solution() -> ModuleType:
    return binding.load(binding.reference_path())


def model_of(stored: str = "tied") -> nn.Module:
    """Return a new GPT-2 with the weights of the stored TransformerLens reference."""
    known = stored_reference(stored)
    model: nn.Module = solution().Transformer(solution().TransformerConfig(**known.config))
    model = model.to(torch.float64).eval()
    model.load_state_dict(known.weights)
    return model


def hooks_left(model: nn.Module) -> str:
    return f"{sum(len(module._forward_hooks) for module in model.modules())} left"


def as_cache(given: object) -> dict[str, Tensor]:
    """Return activations by name; masked scores are left out, since their fill is free."""
    if not isinstance(given, dict):
        return {}
    return {name: comparable(name, each) for name, each in given.items() if torch.is_tensor(each)}


def cached(module: ModuleType, _seed: int) -> Observation:
    model, known = model_of(), stored_reference("tied")
    found = module.run_with_cache(model, known.tokens)
    if not isinstance(found, tuple) or len(found) != 2:
        return {"what it returns": text(found)}
    logits, activations = found
    return {
        "what it returns": "logits and a dictionary"
        if isinstance(activations, dict)
        else f"a pair whose second is a {type(activations).__name__}",
        "the names": ", ".join(sorted(as_cache(activations))),
        "the logits": tensor(logits, "the first of the pair").detach(),
        **{f"the activation {name}": each.detach() for name, each in as_cache(activations).items()},
    }


def cached_by_transformer_lens(_reference: ModuleType, _seed: int) -> Observation:
    known = stored_reference("tied")
    return {
        "the names": ", ".join(sorted(activation_names(2))),
        "the logits": known.logits,
        **{f"the activation {name}": each for name, each in known.activations.items()},
    }


def cached_graph(module: ModuleType, _seed: int) -> Observation:
    model = model_of()
    logits, activations = module.run_with_cache(model, stored_reference("tied").tokens)
    attached = [name for name, each in activations.items() if each.requires_grad]
    return {
        "the logits' graph": "kept" if logits.requires_grad else "cut",
        "activations with a graph": f"{len(attached)}",
    }


def cached_gradient(module: ModuleType, _seed: int) -> Observation:
    model = model_of()
    logits, _ = module.run_with_cache(model, stored_reference("tied").tokens)
    logits.square().mean().backward()
    gradient = model.pos_embed.W_pos.grad
    return {"the gradient of W_pos": torch.zeros(12, 24) if gradient is None else gradient}


def cached_hooks(module: ModuleType, _seed: int) -> Observation:
    model = model_of()
    module.run_with_cache(model, stored_reference("tied").tokens)
    broken = model_of()
    too_long = torch.zeros(1, 13, dtype=torch.long)
    ended = ending(partial(module.run_with_cache, broken, too_long))
    return {
        "hooks on the model afterwards": hooks_left(model),
        "13 tokens where n_ctx is 12": ended,
        "hooks on the model after it raised": hooks_left(broken),
        "the model's mode": "training" if model.training else "evaluation",
    }


def value_of(seed: int, shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=draws(seed, f"value {shape}"), dtype=torch.float64)


PATCHES = {
    "blocks.0.hook_resid_pre": (2, (2, 24)),
    "blocks.1.hook_resid_pre": (0, (2, 24)),
    "blocks.1.attn.hook_z": (7, (2, 3, 8)),
    "blocks.0.mlp.hook_post": (10, (2, 40)),
}


def patched(module: ModuleType, seed: int) -> Observation:
    tokens = stored_reference("tied").tokens
    found = {}
    for name, (position, shape) in PATCHES.items():
        made = module.patched_logits(model_of(), tokens, name, position, value_of(seed, shape))
        found[f"the logits with {name} replaced at {position}"] = tensor(made, "it").detach()
    return found


def patched_by_parts(_reference: ModuleType, seed: int) -> Observation:
    """Compute two patched runs without a hook, module by module."""
    model, known = model_of(), stored_reference("tied")
    found = {}
    for name, layer in (("blocks.0.hook_resid_pre", 0), ("blocks.1.hook_resid_pre", 1)):
        position, shape = PATCHES[name]
        residual = known.activations[name].clone()
        residual[:, position] = value_of(seed, shape)
        for block in model.blocks[layer:]:
            residual = block(residual)
        logits = model.ln_final(residual) @ model.embed.W_E.T
        found[f"the logits with {name} replaced at {position}"] = logits.detach()
    return found


def patched_with_its_own(module: ModuleType, _seed: int) -> Observation:
    known = stored_reference("tied")
    own = known.activations[NAME][:, 4]
    made = module.patched_logits(model_of(), known.tokens, NAME, 4, own)
    return {"the logits with the activation of the same run": tensor(made, "it").detach()}


def unpatched_by_transformer_lens(_reference: ModuleType, _seed: int) -> Observation:
    logits = stored_reference("tied").logits
    return {"the logits with the activation of the same run": logits}


def patched_hooks(module: ModuleType, seed: int) -> Observation:
    model, broken = model_of(), model_of()
    tokens, value = stored_reference("tied").tokens, value_of(seed, (2, 24))
    before = value.clone()
    module.patched_logits(model, tokens, NAME, 3, value)
    too_long = torch.zeros(2, 13, dtype=torch.long)
    call = partial(module.patched_logits, broken, too_long, "blocks.1.hook_resid_pre", 3, value)
    ended = ending(call)
    return {
        "hooks on the model afterwards": hooks_left(model),
        "13 tokens where n_ctx is 12": ended,
        "hooks on the model after it raised": hooks_left(broken),
        "the value afterwards": "as before" if torch.equal(value, before) else "changed",
    }


RIGHT, WRONG = 3, 17


def logit_difference(logits: Tensor) -> Tensor:
    return (logits[:, -1, RIGHT] - logits[:, -1, WRONG]).mean()


def mean_square(logits: Tensor) -> Tensor:
    return logits.square().mean()


def two_texts(seed: int) -> tuple[Tensor, Tensor]:
    """Return two batches of 7 tokens that differ at positions 2 and 5."""
    clean = torch.randint(0, 29, (2, 7), generator=draws(seed, "texts"))
    corrupted = clean.clone()
    corrupted[:, [2, 5]] = (clean[:, [2, 5]] + 11) % 29
    return clean, corrupted


def mapped(module: ModuleType, seed: int) -> Observation:
    clean, corrupted = two_texts(seed)
    found = {}
    for what, score in (
        ("difference of two logits", logit_difference),
        ("mean square", mean_square),
    ):
        made = module.patching_map(model_of("untied"), clean, corrupted, score)
        found[f"the map by the {what}"] = tensor(made, "patching_map").detach()
    return found


def mapped_by_parts(_reference: ModuleType, seed: int) -> Observation:
    """Compute the same without hooks: embed, change one position, run the remaining blocks."""
    clean, corrupted = two_texts(seed)
    model = model_of("untied")

    def streams(tokens: Tensor) -> list[Tensor]:
        found = [model.embed(tokens) + model.pos_embed(tokens)]
        for block in model.blocks:
            found.append(block(found[-1]))
        return found

    def ended(residual: Tensor, layer: int) -> Tensor:
        for block in model.blocks[layer:]:
            residual = block(residual)
        return model.unembed(model.ln_final(residual))

    good, bad = streams(clean), streams(corrupted)
    found = {}
    for what, score in (
        ("difference of two logits", logit_difference),
        ("mean square", mean_square),
    ):
        worst, best = score(ended(bad[-1], 3)), score(ended(good[-1], 3))
        shares = torch.empty(3, 7, dtype=torch.float64)
        for layer in range(3):
            for position in range(7):
                mixed = bad[layer].clone()
                mixed[:, position] = good[layer][:, position]
                shares[layer, position] = (score(ended(mixed, layer)) - worst) / (best - worst)
        found[f"the map by the {what}"] = shares.detach()
    return found


def map_graph(module: ModuleType, seed: int) -> Observation:
    clean, corrupted = two_texts(seed)
    model = model_of()
    made = module.patching_map(model, clean, corrupted, logit_difference)
    return {"hooks on the model afterwards": hooks_left(model), "its kind": text(made.detach())}


def lens(module: ModuleType, _seed: int) -> Observation:
    found = {}
    for stored in ("tied", "untied"):
        model, known = model_of(stored), stored_reference(stored)
        if stored == "untied":
            with torch.no_grad():
                model.unembed.b_U.copy_(value_of(5, (29,)))
        made = module.logit_lens(model, dict(known.activations))
        found[f"the lens of the {stored} model"] = tensor(made, "logit_lens").detach()
    return found


def lens_by_parts(_reference: ModuleType, _seed: int) -> Observation:
    """Apply torch's own layer norm to TransformerLens's stored activations."""
    found = {}
    for stored in ("tied", "untied"):
        known = stored_reference(stored)
        weights, taps, layers = known.weights, known.activations, known.config["n_layers"]
        streams = [taps["hook_embed"] + taps["hook_pos_embed"]]
        streams += [taps[f"blocks.{layer}.hook_resid_post"] for layer in range(layers)]
        eps = known.config["layer_norm_eps"]
        gain, bias = weights["ln_final.w"], weights["ln_final.b"]
        normed = [nn.functional.layer_norm(each, (24,), gain, bias, eps) for each in streams]
        matrix = weights["embed.W_E"].T if stored == "tied" else weights["unembed.W_U"]
        added = torch.zeros(29) if stored == "tied" else value_of(5, (29,))
        made = torch.stack([each @ matrix + added for each in normed])
        found[f"the lens of the {stored} model"] = made
    return found


def lens_end(module: ModuleType, _seed: int) -> Observation:
    known = stored_reference("tied")
    made = tensor(module.logit_lens(model_of(), dict(known.activations)), "logit_lens")
    return {"how many layers": str(len(made)), "the last layer": made[-1].detach()}


def lens_end_by_transformer_lens(_reference: ModuleType, _seed: int) -> Observation:
    return {"the last layer": stored_reference("tied").logits}


def cache_kept(module: ModuleType, _seed: int) -> Observation:
    known = stored_reference("tied")
    given = {name: each.clone() for name, each in known.activations.items()}
    module.logit_lens(model_of(), given)
    kept = given.keys() == known.activations.keys() and all(
        torch.equal(given[name], each) for name, each in known.activations.items()
    )
    return {"the cache afterwards": "as before" if kept else "changed"}
