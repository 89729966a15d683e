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

EXERCISES = ExerciseSet(
    name="circuits",
    reference=Path(__file__).with_name("reference.py"),
    parts=tuple(CLAIMS),
    claims=CLAIMS.__getitem__,
    mistakes=MISTAKES.__getitem__,
    guides=lambda: GUIDES,
)
