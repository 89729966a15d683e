"""Ablate attention heads, and measure a model's loss on a text without them."""

from collections.abc import Iterator, Sequence
from typing import Any

from gpt2_small.app.activation_views import ActivationCache
from gpt2_small.app.activations import without_heads
from gpt2_small.app.models import ShownModel
from gpt2_small.app.text_loss import finite, loss_of, token_log_probs
from gpt2_small.app.token_views import logits_of, scored
from gpt2_small.generation.sampling.logit_processors import without_padding

Json = dict[str, Any]


def ablated(
    shown: ShownModel,
    observations: ActivationCache,
    ids: Sequence[int],
    heads: Sequence[tuple[int, int]],
    position: int,
    candidates: int,
) -> Json:
    """The loss, and the candidates after a position, with and without these heads (layer, head).

    An ablated head adds nothing to the residual stream.
    """
    observation = observations.at(shown, ids)
    with without_heads(shown.model, list(heads)):
        ablated_logits = logits_of(shown, observation.ids)
    own_logits = without_padding(observation.logits, shown.tokenizer.vocab_size)
    found: Json = {}
    for name, rows in (("before", own_logits), ("after", ablated_logits)):
        log_probs = token_log_probs(shown, rows, observation.ids)
        at = rows[position].float().log_softmax(dim=-1)
        best = scored(shown, at, 0, candidates)["candidates"]
        found[name] = {"loss": loss_of(log_probs), "lps": [None, *log_probs], "candidates": best}
        found[name]["lp_of"] = {}
    for name, rows in (("before", own_logits), ("after", ablated_logits)):
        at = rows[position].float().log_softmax(dim=-1)
        wanted = {c[0] for side in ("before", "after") for c in found[side]["candidates"]}
        found[name]["lp_of"] = {str(id): finite(at[id].item()) for id in sorted(wanted)}
    return found


def every_ablation(
    shown: ShownModel, observations: ActivationCache, ids: Sequence[int]
) -> Iterator[Json]:
    """The loss on the text without each head in turn."""
    observation = observations.at(shown, ids)
    config = shown.model.config
    for layer in range(config.n_layers):
        for head in range(config.n_heads):
            with without_heads(shown.model, [(layer, head)]):
                logits = logits_of(shown, observation.ids)
            loss = loss_of(token_log_probs(shown, logits, observation.ids))
            yield {"layer": layer, "head": head, "loss": loss}
