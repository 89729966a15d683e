"""Define the exercises of the circuits lesson: the claims about each part."""

from pathlib import Path

from gpt2_small.checker.claims import Claim
from gpt2_small.checker.exercise_set import ExerciseSet

from .guides import GUIDES
from .induction_observations import score_refusals, scored, scored_at_the_ends, scored_in_a_loop
from .mistakes import MISTAKES
from .observations import (
    cache_kept,
    cached,
    cached_by_transformer_lens,
    cached_gradient,
    cached_graph,
    cached_hooks,
    lens,
    lens_by_parts,
    lens_end,
    lens_end_by_transformer_lens,
    map_graph,
    mapped,
    mapped_by_parts,
    patched,
    patched_by_parts,
    patched_hooks,
    patched_with_its_own,
    unpatched_by_transformer_lens,
)

CLAIMS = {
    "run_with_cache": (
        Claim("run_with_cache", "same activations as TransformerLens, under its names", cached,
              also=(cached_by_transformer_lens,), gate=True),
        Claim("run_with_cache", "the logits keep their graph, the activations are detached",
              cached_graph, group="gradient"),
        Claim("run_with_cache", "same gradients as the model without hooks", cached_gradient,
              group="gradient"),
        Claim("run_with_cache", "no hook remains, even when the model raises", cached_hooks,
              group="inputs"),
    ),
    "patched_logits": (
        Claim("patched_logits", "the value replaces one position, and later layers are recomputed",
              patched, also=(patched_by_parts,), gate=True),
        Claim("patched_logits", "patching in the same run's activation changes nothing",
              patched_with_its_own, also=(unpatched_by_transformer_lens,)),
        Claim("patched_logits", "no hook remains, and the value is unchanged", patched_hooks,
              group="inputs"),
    ),
    "patching_map": (
        Claim("patching_map", "correct score of every layer and position", mapped,
              also=(mapped_by_parts,), gate=True),
        Claim("patching_map", "no hook remains", map_graph, group="inputs"),
    ),
    "logit_lens": (
        Claim("logit_lens", "every residual stream passes the final norm and the unembedding", lens,
              also=(lens_by_parts,), gate=True),
        Claim("logit_lens", "the last layer gives the model's own logits", lens_end,
              also=(lens_end_by_transformer_lens,)),
        Claim("logit_lens", "the cache is not modified in place", cache_kept, group="inputs"),
    ),
    "induction_scores": (
        Claim("induction_scores", "it is attention to what followed the token before", scored,
              also=(scored_in_a_loop,), gate=True),
        Claim("induction_scores", "a perfect induction head scores 1, other heads 0",
              scored_at_the_ends),
        Claim("induction_scores", "ValueError for tokens that do not repeat",
              score_refusals, group="refusals"),
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
