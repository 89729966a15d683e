"""Leave heads out of a model, and measure its loss on a text without them."""

from collections.abc import Iterator, Sequence
from typing import Any

from gpt2_small.app.activation_views import ObservationCache
from gpt2_small.app.activations import without_heads
from gpt2_small.app.losses import finite, loss_of, token_log_probs
from gpt2_small.app.models import Shown
from gpt2_small.app.token_views import logits_of, scored
from gpt2_small.generation.logit_processors import without_padding

Json = dict[str, Any]


def ablated(
    shown: Shown,
    observations: ObservationCache,
    ids: Sequence[int],
    heads: Sequence[tuple[int, int]],
    position: int,
    candidates: int,
) -> Json:
    """The loss, and the candidates after a position, with and without these heads (layer, head).

    What a head would add to the residual stream is left out of it.
    """
    seen = observations.at(shown, ids)
    with without_heads(shown.model, list(heads)):
        logits = logits_of(shown, seen.ids)
    whole = without_padding(seen.logits, shown.tokenizer.vocab_size)
    found: Json = {}
    for name, rows in (("before", whole), ("after", logits)):
        log_probs = token_log_probs(shown, rows, seen.ids)
        at = rows[position].float().log_softmax(dim=-1)
        best = scored(shown, at, 0, candidates)["candidates"]
        found[name] = {"loss": loss_of(log_probs), "lps": [None, *log_probs], "candidates": best}
        found[name]["lp_of"] = {}
    for name, rows in (("before", whole), ("after", logits)):
        at = rows[position].float().log_softmax(dim=-1)
        wanted = {c[0] for side in ("before", "after") for c in found[side]["candidates"]}
        found[name]["lp_of"] = {str(id): finite(at[id].item()) for id in sorted(wanted)}
    return found


def every_ablation(
    shown: Shown, observations: ObservationCache, ids: Sequence[int]
) -> Iterator[Json]:
    """The loss on the text without each head in turn."""
    seen = observations.at(shown, ids)
    config = shown.model.config
    for layer in range(config.n_layers):
        for head in range(config.n_heads):
            with without_heads(shown.model, [(layer, head)]):
                logits = logits_of(shown, seen.ids)
            loss = loss_of(token_log_probs(shown, logits, seen.ids))
            yield {"layer": layer, "head": head, "loss": loss}
