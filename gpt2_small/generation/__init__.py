"""Generate text with a model."""

from gpt2_small.generation.chat import Chat, ChatTurn, Reply
from gpt2_small.generation.continuation import Continuation, DrawnToken, LikelyToken, ScoredToken
from gpt2_small.generation.generation_loop import Stream, continuations
from gpt2_small.generation.loaded_model import LoadedModel, open_model
from gpt2_small.generation.sampling.batch_sampling import sample_many
from gpt2_small.generation.sampling.sampling_options import SamplingOptions
from gpt2_small.generation.token_scores import score_text

__all__ = [
    "Chat",
    "ChatTurn",
    "Continuation",
    "DrawnToken",
    "LikelyToken",
    "LoadedModel",
    "Reply",
    "SamplingOptions",
    "ScoredToken",
    "Stream",
    "continuations",
    "open_model",
    "sample_many",
    "score_text",
]
