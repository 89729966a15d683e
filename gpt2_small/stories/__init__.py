"""Draw and judge short stories whose true distribution is known.

A small probabilistic grammar defines them, so that the lowest possible loss (`entropy_per_token`),
the probability of each token (`token_log_probs`) and the validity of sampled stories (`judge`) are
known exactly.
"""

from gpt2_small.stories.entropy import (
    count_stories,
    entropy_per_token,
    longest_story_tokens,
    mean_story_tokens,
    story_entropy,
)
from gpt2_small.stories.judge import Judgement, Share, judge
from gpt2_small.stories.parsing import agrees, parses, token_log_probs
from gpt2_small.stories.rules import BEGIN
from gpt2_small.stories.stories_tokenizer import (
    BEGIN_ID,
    VOCABULARY,
    StoriesTokenizer,
    join_words,
    split_words,
)
from gpt2_small.stories.story_texts import (
    TRAINING_STORIES,
    generate_story,
    stories_windows,
    training_stories,
    training_text,
    training_tokens,
)

__all__ = [
    "BEGIN",
    "BEGIN_ID",
    "TRAINING_STORIES",
    "VOCABULARY",
    "Judgement",
    "Share",
    "StoriesTokenizer",
    "agrees",
    "count_stories",
    "entropy_per_token",
    "generate_story",
    "join_words",
    "judge",
    "longest_story_tokens",
    "mean_story_tokens",
    "parses",
    "split_words",
    "stories_windows",
    "story_entropy",
    "token_log_probs",
    "training_stories",
    "training_text",
    "training_tokens",
]
