"""Define the exercises of the circuits lesson: claims, known mistakes and hints."""

from functools import cache, partial
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from gpt2_small import binding
from gpt2_small.checker.claims import Claim
from gpt2_small.checker.claims.observation import Observation
from gpt2_small.checker.claims.probes import draws, tensor, text
from gpt2_small.checker.claims.refusals import ending
from gpt2_small.checker.exercise_set import ExerciseSet, exercise_mistake
from gpt2_small.checker.learner.hints import Guide
from gpt2_small.checker.oracle import activation_names, comparable, stored_reference

NAME = "blocks.0.hook_resid_pre"


@cache
def solution() -> ModuleType:
    return binding.load(binding.reference_path())


def model_of(stored: str = "tied") -> nn.Module:
    """A new GPT-2 with the weights of which TransformerLens's activations are stored."""
    known = stored_reference(stored)
    model: nn.Module = solution().Transformer(solution().TransformerConfig(**known.config))
    model = model.to(torch.float64).eval()
    model.load_state_dict(known.weights)
    return model


def hooks_left(model: nn.Module) -> str:
    return f"{sum(len(module._forward_hooks) for module in model.modules())} left"


def as_cache(given: object) -> dict[str, Tensor]:
    """The activations by name, without the fill of masked scores, which is free."""
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
    """Two of these, by running the model's own modules one after the other, without a hook."""
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
    """Two batches of 7 tokens that differ at positions 2 and 5."""
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
    """The same without hooks: embed, change one position, run the blocks that are left."""
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
    """Layer norm by torch's own operation, on the activations that TransformerLens gave."""
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


def repeated_tokens(seed: int) -> Tensor:
    """Two rows in which tokens occur once, twice and three times; the second has a pair a a."""
    drawn = torch.randint(0, 6, (2, 12), generator=draws(seed, "repeated"))
    drawn[0, :5] = torch.tensor([1, 2, 3, 1, 2])
    drawn[1, :5] = torch.tensor([9, 4, 4, 4, 8])
    return drawn


def pattern_of(seed: int, seq: int = 12) -> Tensor:
    noise = torch.randn(2, 3, seq, seq, generator=draws(seed, "pattern"), dtype=torch.float64)
    future = torch.ones(seq, seq, dtype=torch.bool).triu(diagonal=1)
    return (2 * noise).masked_fill(future, -torch.inf).softmax(dim=-1)


def scored(module: ModuleType, seed: int) -> Observation:
    made = module.induction_scores(pattern_of(seed), repeated_tokens(seed))
    return {"the score of each head": tensor(made, "induction_scores").double()}


def scored_in_a_loop(_reference: ModuleType, seed: int) -> Observation:
    pattern, tokens = pattern_of(seed), repeated_tokens(seed).tolist()
    total, asked = torch.zeros(3, dtype=torch.float64), 0
    for row, ids in enumerate(tokens):
        for query in range(12):
            earlier = [place for place in range(query) if ids[place] == ids[query]]
            asked += bool(earlier)
            for place in earlier:
                total += pattern[row, :, query, place + 1]
    return {"the score of each head": total / asked}


def scored_at_the_ends(module: ModuleType, _seed: int) -> Observation:
    """Heads that always look where an induction head looks, at the same token, and before it."""
    tokens = torch.tensor([[1, 2, 3, 4, 1, 2, 3, 4]])
    heads = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    for query in range(8):
        for head, distance in enumerate((3, 4, 1)):
            heads[0, head, query, max(query - distance, 0)] = 1
    made = module.induction_scores(heads, tokens)
    return {"an induction head, a head for equal tokens, one for the token before": made.double()}


def score_refusals(module: ModuleType, seed: int) -> Observation:
    tokens = torch.arange(12).expand(2, 12)
    call = partial(module.induction_scores, pattern_of(seed), tokens)
    return {"tokens that do not repeat": ending(call)}


CLAIMS = {
    "run_with_cache": (
        Claim("run_with_cache", "The activations are TransformerLens's, under its names", cached,
              also=(cached_by_transformer_lens,), gate=True),
        Claim("run_with_cache", "The logits keep their graph, and the activations have none",
              cached_graph, group="gradient"),
        Claim("run_with_cache", "The gradient of the run is the model's", cached_gradient,
              group="gradient"),
        Claim("run_with_cache", "No hook is left, also when the model raises", cached_hooks,
              group="inputs"),
    ),
    "patched_logits": (
        Claim("patched_logits", "One position has the value, and everything after it follows",
              patched, also=(patched_by_parts,), gate=True),
        Claim("patched_logits", "The activation of the same run changes nothing",
              patched_with_its_own, also=(unpatched_by_transformer_lens,)),
        Claim("patched_logits", "No hook is left, and the value stays as it is", patched_hooks,
              group="inputs"),
    ),
    "patching_map": (
        Claim("patching_map", "Every layer and position has its share of the score", mapped,
              also=(mapped_by_parts,), gate=True),
        Claim("patching_map", "No hook is left", map_graph, group="inputs"),
    ),
    "logit_lens": (
        Claim("logit_lens", "Every stream goes through the final norm and the unembedding", lens,
              also=(lens_by_parts,), gate=True),
        Claim("logit_lens", "The last layer has the model's own logits", lens_end,
              also=(lens_end_by_transformer_lens,)),
        Claim("logit_lens", "The cache stays as it is", cache_kept, group="inputs"),
    ),
    "induction_scores": (
        Claim("induction_scores", "It is the attention to what followed the token before", scored,
              also=(scored_in_a_loop,), gate=True),
        Claim("induction_scores", "A perfect induction head has 1, other heads have 0",
              scored_at_the_ends),
        Claim("induction_scores", "Tokens that do not repeat are refused with ValueError",
              score_refusals, group="refusals"),
    ),
}  # fmt: skip

GUIDES = {
    "run_with_cache": Guide(
        steps=(
            "On every submodule whose last name begins with hook_, register a forward hook that "
            "stores the output, detached, under the submodule's name.",
            "Run the model.",
            "Remove all hooks, also when the model raises.",
            "Return the logits and the dictionary.",
        ),
        hints=(
            "Which method of nn.Module gives every submodule with its name, and which one calls a "
            "function after every forward pass?",
            "named_modules, and register_forward_hook(function): it calls function(module, inputs, "
            "output) and returns a handle with remove(). A function made in a loop must know its "
            "own name, not the loop's last one.",
            "def storing(name): def store(_m, _i, output): cache[name] = output.detach(); return "
            "store; then a try whose finally removes every handle",
        ),
    ),
    "patched_logits": Guide(
        steps=(
            "Register a forward hook on the submodule of that name.",
            "The hook copies the activation, puts the value at the position, and returns the copy.",
            "Run the model and give its logits; remove the hook, also when the model raises.",
        ),
        hints=(
            "What does a forward hook return to change the output of its module?",
            "Position is the second axis of the activation; all rows and all later axes change.",
            "patched = activation.clone(); patched[:, position] = value; return patched",
        ),
    ),
    "patching_map": Guide(
        steps=(
            "Run the clean tokens with a cache, and score both runs.",
            "For every layer and position, run the corrupted tokens with the clean run's "
            "hook_resid_pre there, and score it.",
            "Give the share of the way from the corrupted score to the clean one [layer seq].",
        ),
        hints=(
            "Into which of the two runs is something patched?",
            "What must the share be when patching changes nothing, and when it brings all back?",
            "(patched - corrupted) / (clean - corrupted)",
        ),
    ),
    "logit_lens": Guide(
        steps=(
            "Take the residual stream before the first block and after each.",
            "Apply the model's final norm to each.",
            "Unembed: with `unembed`, or the transposed W_E where the model has none.",
        ),
        hints=(
            "What happens to the residual stream between the last block and the logits?",
            "blocks.0.hook_resid_pre, then blocks.N.hook_resid_post; a norm takes "
            "[batch seq d_model], so do one stream at a time, or join layer and batch.",
            "model.unembed(model.ln_final(stream)), or model.ln_final(stream) @ model.embed.W_E.T",
        ),
    ),
    "induction_scores": Guide(
        steps=(
            "For every query, find the keys before it that hold the same token.",
            "Add up its attention to the keys right after those.",
            "Average over the queries whose token has occurred before; refuse with a ValueError "
            "when there are none.",
        ),
        hints=(
            "In a b c a, where does an induction head look from the second a?",
            "tokens[:, :, None] == tokens[:, None, :] says where query and key are equal; its "
            "lower triangle without the diagonal is the past; moved by one key it is what followed.",
            "followed[:, :, 1:] = occurred[:, :, :-1]; (pattern * followed[:, None]).sum(-1)",
        ),
    ),
}


mistake = partial(exercise_mistake, GUIDES)


_STORE = "            cache[name] = activation.detach()\n"
_IS_TAP = 'if name.split(".")[-1].startswith("hook_")'
_KEEPING_TRY = """    try:
        logits = model(tokens)
    finally:
        for handle in handles:
            handle.remove()
    return logits, cache"""
_RETURN_PAIR = "    return logits, cache"
_PATCHED = "        patched[:, position] = value\n"
_ONE_TRY = """    try:
        logits: Tensor = model(tokens)
    finally:
        handle.remove()
    return logits"""
_SHARE = "return (torch.stack(rows) - worst) / (best - worst)"
_CELL = "row.append(score(patched_logits(model, corrupted, name, position, value)))"
_VALUE = "value = cache[name][:, position]"
_SCORES = "worst, best = score(model(corrupted)), score(clean_logits)"
_FINAL = "final = model.ln_final(torch.stack(streams).flatten(end_dim=1))"
_FIRST = 'streams = [cache["blocks.0.hook_resid_pre"]]'
_POSTS = 'cache[f"blocks.{layer}.hook_resid_post"] for layer in range(len(model.blocks))'
_UNEMBED = "logits = final @ model.embed.W_E.T if model.unembed is None else model.unembed(final)"
_UNFLATTEN = "return logits.unflatten(0, (len(streams), -1))"
_FOLLOWED = "followed[:, :, 1:] = occurred[:, :, :-1]"
_SAME = "occurred = same & before"
_PAID = "paid = (pattern * followed[:, None]).sum(dim=-1)"
_MEAN = "return paid.transpose(1, 2)[is_asked].mean(dim=0)"

MISTAKES = {
    "run_with_cache": (
        mistake("run_with_cache", "last-name", _STORE,
                '            cache[list(dict(model.named_modules()))[-1]] = activation.detach()\n',
                "stores every activation under the loop's last name",
                "When is the name of a loop read by a function that was made in it?"),
        mistake("run_with_cache", "short-names", _STORE,
                '            cache[name.split(".")[-1]] = activation.detach()\n',
                "uses only the last part of the name, so that blocks overwrite each other",
                "How many taps are called hook_resid_pre?"),
        mistake("run_with_cache", "attached", _STORE, "            cache[name] = activation\n",
                "does not detach the activations", "What does an activation keep alive?"),
        mistake("run_with_cache", "cuts-the-run", _STORE,
                _STORE + "            return activation.detach()\n",
                "hands the detached activation on, so that the model has no gradient",
                "What does the value that a forward hook returns do?",
                also=(("def store(_tap: nn.Module, _inputs: object, activation: Tensor) -> None:",
                       "def store(_tap: nn.Module, _inputs: object, activation: Tensor) -> Tensor:"),)),
        mistake("run_with_cache", "hooks-stay", _KEEPING_TRY,
                "    logits = model(tokens)\n    return logits, cache",
                "leaves its hooks on the model", "What happens in the next run of the model?"),
        mistake("run_with_cache", "hooks-stay-after-an-error", _KEEPING_TRY,
                "    logits = model(tokens)\n    for handle in handles:\n        handle.remove()\n"
                "    return logits, cache",
                "leaves its hooks on the model when the model raises",
                "What runs after an exception?"),
        mistake("run_with_cache", "one-block", _IS_TAP,
                'if name.split(".")[-1].startswith("hook_") and "blocks.1" not in name',
                "leaves the last block out", "How many blocks has the model?"),
        mistake("run_with_cache", "without-the-embedding", _IS_TAP, 'if ".hook_" in name',
                "leaves out the taps of the model itself, hook_embed and hook_pos_embed",
                "What is the whole name of the tap of the token embedding?"),
        mistake("run_with_cache", "outermost-taps", _IS_TAP,
                'if name.split(".")[-1].startswith("hook_") and name.count(".") <= 2',
                "leaves out the taps inside attention, MLP and the blocks' norms",
                "How deep do submodules lie?"),
        mistake("run_with_cache", "every-module", _IS_TAP, "",
                "stores the outputs of all modules, not of the taps alone",
                "What do the names of taps have in common?"),
        mistake("run_with_cache", "first-row", _STORE,
                "            cache[name] = activation[:1].detach()\n",
                "stores the first row of the batch only", "What is the first axis?"),
        mistake("run_with_cache", "last-position", _STORE,
                "            cache[name] = activation[:, -1:].detach()\n",
                "stores the last entry of the second axis only", "What is the second axis?"),
        mistake("run_with_cache", "exchanged", _RETURN_PAIR, "    return cache, logits",
                "returns the activations first", "In which order are the two returned?"),
    ),
    "patched_logits": (
        mistake("patched_logits", "every-position", _PATCHED,
                "        patched[:] = value[:, None]\n",
                "replaces the activation at every position", "How many positions are replaced?"),
        mistake("patched_logits", "added", _PATCHED, "        patched[:, position] += value\n",
                "adds the value instead of putting it there",
                "What is left of the old activation?"),
        mistake("patched_logits", "one-later", _PATCHED,
                "        patched[:, (position + 1) % patched.shape[1]] = value\n",
                "replaces the position after it", "From which number do positions count?"),
        mistake("patched_logits", "first-row", _PATCHED,
                "        patched[0, position] = value[0]\n",
                "changes the first row of the batch only", "What is the first axis?"),
        mistake("patched_logits", "from-there-on", _PATCHED,
                "        patched[:, position:] = value[:, None]\n",
                "replaces all positions from there on", "What does a slice without an end take?"),
        mistake("patched_logits", "up-to-there", _PATCHED,
                "        patched[:, : position + 1] = value[:, None]\n",
                "replaces all positions up to there", "How many positions are replaced?"),
        mistake("patched_logits", "from-the-end", _PATCHED,
                "        patched[:, -1 - position] = value\n",
                "counts the position from the end", "From which end do positions count?"),
        mistake("patched_logits", "nothing-returned", "        return patched\n",
                "        return activation\n", "returns the activation as it was, so that nothing changes",
                "What does the hook have to return?"),
        mistake("patched_logits", "half", _PATCHED,
                "        patched[:, position] = (patched[:, position] + value) / 2\n",
                "puts the mean of both there", "What is left of the old activation?"),
        mistake("patched_logits", "rows-mixed", _PATCHED,
                "        patched[:, position] = value.mean(dim=0)\n",
                "gives every row the batch's mean value", "Whose value does a row get?"),
        mistake("patched_logits", "hook-stays", _ONE_TRY, "    return model(tokens)",
                "leaves its hook on the model", "What happens in the next run of the model?",
                also=(("    handle = model.get_submodule(name).register_forward_hook(replace)",
                       "    model.get_submodule(name).register_forward_hook(replace)"),)),
        mistake("patched_logits", "hook-stays-after-an-error", _ONE_TRY,
                "    logits: Tensor = model(tokens)\n    handle.remove()\n    return logits",
                "leaves its hook on the model when the model raises",
                "What runs after an exception?"),
        mistake("patched_logits", "value-changed", _PATCHED,
                "        patched[:, position] = value\n        value *= 1.5\n",
                "changes the value that it was given", "Whose tensor is `value`?"),
    ),
    "patching_map": (
        mistake("patching_map", "other-direction", _CELL,
                "row.append(score(patched_logits(model, clean, name, position, value)))",
                "patches the clean run, in which nothing changes", "Into which run is patched?"),
        mistake("patching_map", "noising", _CELL,
                "value = run_with_cache(model, corrupted)[1][name][:, position]\n"
                "                row.append(score(patched_logits(model, clean, name, position, value)))",
                "patches the corrupted run's activations into the clean run",
                "Does the map say what breaks the score or what brings it back?"),
        mistake("patching_map", "not-normalised", _SHARE, "return torch.stack(rows)",
                "gives the scores themselves, not their share of the way",
                "What must the share be when patching changes nothing?"),
        mistake("patching_map", "difference-only", _SHARE, "return torch.stack(rows) - worst",
                "does not divide by the distance of the two scores",
                "What must the share be when everything comes back?"),
        mistake("patching_map", "share-of-the-clean-score", _SHARE,
                "return torch.stack(rows) / best",
                "divides by the clean score and does not subtract the corrupted one",
                "What must the share be when patching changes nothing?"),
        mistake("patching_map", "what-is-missing", _SHARE,
                "return (best - torch.stack(rows)) / (best - worst)",
                "gives the share that is still missing",
                "What must the share be when everything comes back?"),
        mistake("patching_map", "sign", _SHARE,
                "return (torch.stack(rows) - worst) / (worst - best)", "has the opposite sign",
                "What must the share be when everything comes back?"),
        mistake("patching_map", "transposed", _SHARE,
                "return ((torch.stack(rows) - worst) / (best - worst)).T",
                "has positions before layers", "Which axis is first?"),
        mistake("patching_map", "after-the-block", 'name.endswith("hook_resid_pre")',
                'name.endswith("hook_resid_post")',
                "patches after each block instead of before it", "Which tap stands before a block?"),
        mistake("patching_map", "first-layer", _CELL,
                "value = cache[names[0]][:, position]\n"
                "                row.append(score(patched_logits(model, corrupted, names[0], position, value)))",
                "patches the first layer in every row", "What differs between the map's rows?"),
        mistake("patching_map", "first-position", _VALUE,
                "value = cache[name][:, 0]",
                "puts the first position's activation everywhere",
                "Which activation belongs at a position?"),
        mistake("patching_map", "layers-backwards", "for name in names:\n", "for name in names[::-1]:\n",
                "has the last layer first", "Which layer is the first row?"),
    ),
    "logit_lens": (
        mistake("logit_lens", "no-norm", _FINAL, "final = torch.stack(streams).flatten(end_dim=1)",
                "leaves the final norm out", "What stands between the last block and the logits?"),
        mistake("logit_lens", "norm-without-gain", _FINAL,
                "final = nn.functional.layer_norm(torch.stack(streams).flatten(end_dim=1), "
                "streams[0].shape[-1:])",
                "normalises without the final norm's gain and bias", "What does ln_final learn?"),
        mistake("logit_lens", "a-blocks-norm", _FINAL,
                "final = model.blocks[-1].ln2(torch.stack(streams).flatten(end_dim=1))",
                "takes a block's norm for the final one", "Which norm is after the last block?"),
        mistake("logit_lens", "without-the-start", _FIRST, "streams = []",
                "leaves out the stream before the first block", "How many streams are there?"),
        mistake("logit_lens", "without-positions", _FIRST, 'streams = [cache["hook_embed"]]',
                "begins with the token embedding alone, without the positions",
                "Of what is the first residual stream the sum?"),
        mistake("logit_lens", "before-each-block", _POSTS,
                'cache[f"blocks.{layer}.hook_resid_pre"] for layer in range(len(model.blocks))',
                "takes the streams before each block, the first of them twice",
                "Which stream do the model's own logits come from?"),
        mistake("logit_lens", "in-the-middle", _POSTS,
                'cache[f"blocks.{layer}.hook_resid_mid"] for layer in range(len(model.blocks))',
                "takes the streams between attention and MLP",
                "Which stream do the model's own logits come from?"),
        mistake("logit_lens", "what-is-added", _POSTS,
                'cache[f"blocks.{layer}.hook_attn_out"] + cache[f"blocks.{layer}.hook_mlp_out"] '
                "for layer in range(len(model.blocks))",
                "decodes what a block adds, not the stream", "What is a residual stream?"),
        mistake("logit_lens", "one-layer-missing", _POSTS,
                'cache[f"blocks.{layer}.hook_resid_post"] for layer in range(len(model.blocks) - 1)',
                "leaves the last block out", "How many streams are there?"),
        mistake("logit_lens", "always-tied", _UNEMBED, "logits = final @ model.embed.W_E.T",
                "unembeds with W_E where the model has an unembedding of its own",
                "When is `unembed` None?"),
        mistake("logit_lens", "no-bias", _UNEMBED,
                "logits = final @ (model.embed.W_E.T if model.unembed is None else "
                "model.unembed.W_U)",
                "leaves b_U out", "What are the parameters of an unembedding?"),
        mistake("logit_lens", "probabilities", _UNFLATTEN,
                "return logits.softmax(dim=-1).unflatten(0, (len(streams), -1))",
                "gives probabilities instead of logits", "What does the model itself give?"),
        mistake("logit_lens", "backwards", _UNFLATTEN,
                "return logits.unflatten(0, (len(streams), -1)).flip(0)",
                "has the last layer first", "Which layer comes first?"),
    ),
    "induction_scores": (
        mistake("induction_scores", "same-token", _FOLLOWED, "followed = occurred",
                "scores the attention to the same token, not to what followed it",
                "In a b c a, where does an induction head look from the second a?"),
        mistake("induction_scores", "token-before", _FOLLOWED,
                "followed[:, :, :-1] = occurred[:, :, 1:]",
                "scores the attention to what came before the token",
                "In a b c a, where does an induction head look from the second a?"),
        mistake("induction_scores", "two-after", _FOLLOWED,
                "followed[:, :, 2:] = occurred[:, :, :-2]",
                "looks two tokens after", "By how many keys is the past moved?"),
        mistake("induction_scores", "all-queries", _MEAN, "return paid.mean(dim=(0, 2))",
                "averages over all queries, also over those whose token is new",
                "Where could an induction head look from a new token?"),
        mistake("induction_scores", "sum", _MEAN, "return paid.sum(dim=(0, 2))",
                "adds up over the queries instead of averaging",
                "Does the score grow with the length of the text?"),
        mistake("induction_scores", "largest", _PAID,
                "paid = (pattern * followed[:, None]).amax(dim=-1)",
                "takes the largest weight where several are added up",
                "What if a token has occurred twice before?"),
        mistake("induction_scores", "first-row", _MEAN,
                "return paid.transpose(1, 2)[:1][is_asked[:1]].mean(dim=0)",
                "looks at the first row only", "What is the first axis?"),
        mistake("induction_scores", "heads-mixed", _MEAN,
                "return paid.transpose(1, 2)[is_asked].mean().expand(paid.shape[1])",
                "averages over the heads, too", "Which head is the induction head?"),
        mistake("induction_scores", "rows-averaged", _MEAN,
                "return torch.stack([paid[row][:, is_asked[row]].mean(dim=1) "
                "for row in range(len(paid))]).mean(dim=0)",
                "averages row by row, so that a query counts more in a row with few of them",
                "Over what does the mean run?"),
        mistake("induction_scores", "queries-as-keys", _PAID,
                "paid = (pattern.transpose(2, 3) * followed[:, None]).sum(dim=-1)",
                "exchanges queries and keys", "Which axis of a pattern adds up to 1?"),
        mistake("induction_scores", "with-itself", _SAME, "occurred = same & (before | ~before.T)",
                "takes a token's own place, and every later one, for an earlier occurrence",
                "Does a token occur before itself?"),
        mistake("induction_scores", "no-refusal", "if not occurred.any():", "if False:",
                "accepts tokens that do not repeat", "What is the mean of no numbers?"),
    ),
}  # fmt: skip

EXERCISES = ExerciseSet(
    name="circuits",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
