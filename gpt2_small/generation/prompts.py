"""Turn a prompt into tokens that the model knows."""

from collections.abc import Sequence

from gpt2_small.errors import UserError
from gpt2_small.tokenizers.protocol import Tokenizer


def prompt_ids(tokenizer: Tokenizer, prompt: str | Sequence[int], d_vocab: int) -> list[int]:
    """The tokens of a prompt; of an empty one, the end of text.

    Raises UserError for an empty prompt when there is no end of text, and for a token that the
    model does not know.
    """
    ids = tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
    if not ids and tokenizer.end_of_text is not None:
        ids = [tokenizer.end_of_text]
    if not ids:
        raise UserError(
            f"the prompt is empty, and tokenizer {tokenizer.name!r} has no token that a text "
            "begins with; give a prompt of at least one character"
        )
    known = min(d_vocab, tokenizer.vocab_size)
    for id in ids:
        if not 0 <= id < known:
            raise UserError(
                f"the prompt holds token {id}, and the model knows tokens 0 to {known - 1}; "
                "give the tokenizer that the model was trained with"
            )
    return ids
