"""List the known mistakes in the exercises of the circuits lesson, as edits."""

from functools import partial

from gpt2_small.checker.exercise_set import exercise_mistake

from .guides import GUIDES

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
