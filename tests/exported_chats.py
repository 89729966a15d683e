"""Export small chat models, and make conversations that tempt a template to change them."""

import random
from pathlib import Path

import torch

from gpt2_small import binding
from gpt2_small.data.conversations.conversation import Audit, Conversation, Turn
from gpt2_small.data.conversations.rendering import RenderedConversation, render
from gpt2_small.stories.dialogues.dialogue_corpus import generate_dialogue, turns_of
from gpt2_small.stories.stories_tokenizer import join_words
from gpt2_small.tokenizers.protocol import Tokenizer
from gpt2_small.weights.export import export_hugging_face

SOLUTION = binding.bound()


def exported(tokenizer: Tokenizer, folder: Path, *, d_vocab: int | None = None) -> Path:
    """A small random model with this tokenizer, as `export` writes it."""
    torch.manual_seed(1)
    config = SOLUTION.TransformerConfig(
        d_model=16,
        n_layers=2,
        n_heads=2,
        n_ctx=128,
        d_vocab=d_vocab or tokenizer.vocab_size,
        init_std=0.3,
    )
    export_hugging_face(SOLUTION.Transformer(config), folder / "exported", tokenizer=tokenizer)
    return folder / "exported"


def conversation(*texts: str) -> Conversation:
    """Turns of the user and the assistant, alternating."""
    turns = [Turn("assistant" if place % 2 else "user", text) for place, text in enumerate(texts)]
    return Conversation(tuple(turns), "")


def rendered(found: Conversation, tokenizer: Tokenizer) -> RenderedConversation:
    """The ids and targets of a whole conversation."""
    untruncated = render(found, tokenizer, max_length=10**6, too_long="drop", audit=Audit())
    assert untruncated is not None
    return untruncated


def messages(found: Conversation) -> list[dict[str, str]]:
    """A conversation as transformers' chat templates take it."""
    return [{"role": turn.role, "content": turn.text} for turn in found.turns]


def awkward(tokenizer_name: str) -> list[Conversation]:
    """Conversations of texts that tempt a template to strip, join or escape."""
    rng = random.Random(0)
    if tokenizer_name == "dialogues-chat":
        drawn = [turns_of(generate_dialogue(rng)) for _ in range(5)]
        return [conversation(*(join_words(words) for _, words in turns)) for turns in drawn]
    letters = ["a", " b", "\n", "é", "{{ x }}", "{% y %}", '"', "\\", "\t", "🙂", "<|x|>", " "]
    return [conversation(*("".join(rng.choices(letters, k=6)) for _ in range(4))) for _ in range(8)]
