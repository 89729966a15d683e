"""Sample from a model in training, and judge its stories."""

from gpt2_small import stories
from gpt2_small.generation import sample_many
from gpt2_small.training.chat_data import ChatData
from gpt2_small.training.display.chat_samples import chat_excerpt
from gpt2_small.training.loop import Training
from gpt2_small.training.training_data import StoriesData

EXCERPT_TOKENS = 240
STORIES_TO_CHOOSE_FROM = 8


def sampled_stories(training: Training, count: int, *, seed: int) -> list[str]:
    """Sample stories from the model, each cut at the beginning of the next."""
    data = training.data
    assert isinstance(data, StoriesData)
    begin, new_tokens = data.start_token, training.config.n_ctx - 1
    sampled = sample_many(
        training.solution,
        training.model,
        [[begin]] * count,
        new_tokens,
        seed=seed,
        stop_tokens={begin},
        vocab_size=data.tokenizer.vocab_size,
    )
    return [data.tokenizer.decode([begin, *ids]).split("\n")[0] for ids in sampled]


def excerpt(training: Training, *, seed: int) -> str:
    """A short sample of the model at temperature 1."""
    if isinstance(training.data, StoriesData):
        sampled = sampled_stories(training, STORIES_TO_CHOOSE_FROM, seed=seed)
        return next((story for story in sampled if story), "(it ended before the first word)")
    if isinstance(training.data, ChatData):
        return chat_excerpt(training, seed=seed)
    start, tokenizer = training.data.start_token, training.data.tokenizer
    (ids,) = sample_many(
        training.solution,
        training.model,
        [[start]],
        EXCERPT_TOKENS,
        seed=seed,
        vocab_size=tokenizer.vocab_size,
    )
    return tokenizer.decode(ids).strip()


def judged(training: Training, count: int) -> stories.Judgement:
    """Judge sampled stories: how many parse, agree and are new."""
    sampled = sampled_stories(training, count, seed=training.recipe.seed)
    assert isinstance(training.data, StoriesData)
    return stories.judge(sampled, stories.training_text(training.data.seed))
