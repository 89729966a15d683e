"""Stories: a corpus whose true distribution is known.

Short tales are drawn from a small probabilistic grammar. So it can be said exactly how well any
model could predict them (`entropy_per_token`), how likely each token truly is
(`token_log_probs`), and whether a sampled story is one (`judge`).
"""

from gpt2_small.stories.corpus import (
    TRAINING_STORIES,
    generate_story,
    stories_windows,
    training_stories,
    training_text,
)
from gpt2_small.stories.judge import Judgement, Share, judge
from gpt2_small.stories.measure import (
    count_stories,
    entropy_per_token,
    longest_story_tokens,
    mean_story_tokens,
    story_entropy,
)
from gpt2_small.stories.read import agrees, parses, token_log_probs
from gpt2_small.stories.tales import BEGIN
from gpt2_small.stories.tokenizer import (
    BEGIN_ID,
    VOCABULARY,
    StoriesTokenizer,
    join_words,
    split_words,
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
]
