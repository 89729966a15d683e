"""Text from a model."""

from gpt2_small.generation.batch_sampling import sample_many
from gpt2_small.generation.continuation import Candidate, Continuation, Step
from gpt2_small.generation.model_source import Source, open_source
from gpt2_small.generation.options import Options
from gpt2_small.generation.streaming import Stream, continuations

__all__ = [
    "Candidate",
    "Continuation",
    "Options",
    "Source",
    "Step",
    "Stream",
    "continuations",
    "open_source",
    "sample_many",
]
