"""Guide learners through the circuits lesson: steps and hints for each part."""

from gpt2_small.checker.learner.hints import Guide

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
            "lower triangle without the diagonal is the past; moved by one key, what came next.",
            "followed[:, :, 1:] = occurred[:, :, :-1]; (pattern * followed[:, None]).sum(-1)",
        ),
    ),
}
