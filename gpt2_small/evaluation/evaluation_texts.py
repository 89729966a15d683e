"""Open the texts of an evaluation: the held-out part of shards, or all of a text."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gpt2_small.data.conversations.chat_folder import Chats, holds_chats, open_chats
from gpt2_small.data.corpora import Corpus, open_corpus
from gpt2_small.data.corpora.rows import refuse_column
from gpt2_small.data.shards import Shards, holds_shards, open_shards
from gpt2_small.errors import UserError
from gpt2_small.evaluation.text_scores import Document, context_prefix, document
from gpt2_small.tokenizers.protocol import Tokenizer

Prepared = TypeVar("Prepared", Shards, Chats)


@dataclass(frozen=True)
class EvaluationTexts:
    """Documents to score, with a description.

    source: describes the texts.
    first_tokens: describes whether each document's first token is scored.
    """

    documents: Iterator[Document]
    source: str
    first_tokens: str


def open_texts(
    name: str | Path, tokenizer: Tokenizer, *, column: str | None = None
) -> EvaluationTexts:
    """Open the held-out part of prepared shards or conversations, or all of a text.

    name: a folder of shards or of conversations, or any source of `prepare`.
    column: of text, in rows.

    Raises UserError for an unreadable text, for a folder that was prepared with another tokenizer
    than the model's, and for a column of a prepared folder.
    """
    if holds_chats(name):
        refuse_column(str(name), column)
        val = _of_the_same_tokenizer(open_chats(str(name)), name, tokenizer).val
        conversations = map(val.conversation, range(len(val)))
        return EvaluationTexts(
            (Document(ids, number, mask) for number, (ids, mask) in enumerate(conversations)),
            f"the assistant's tokens in the held-out conversations of {name}",
            "each conversation's first token is a role, which is not scored",
        )
    if holds_shards(name):
        refuse_column(str(name), column)
        shards = _of_the_same_tokenizer(open_shards(name, tokenizer=tokenizer), name, tokenizer)
        return EvaluationTexts(
            iter([Document(shards.validation)]),
            f"the held-out part of {name}, as one stream",
            "the first token is not scored",
        )
    corpus = open_corpus(str(name), column=column)
    prefix = context_prefix(tokenizer)
    return EvaluationTexts(
        (document(tokenizer, text, number) for number, text in enumerate(whole_texts(corpus))),
        f"all of {name}",
        "each document's first token is scored after an end of text"
        if prefix
        else "each document's first token is not scored",
    )


def _of_the_same_tokenizer(prepared: Prepared, name: str | Path, tokenizer: Tokenizer) -> Prepared:
    """Return what was prepared. Raises UserError for another tokenizer than the model's."""
    if prepared.tokenizer.to_dict() != tokenizer.to_dict():
        raise UserError(
            f"{name} was prepared with the tokenizer {prepared.tokenizer.name!r}, and the model "
            f"has {tokenizer.name!r}; give the text itself, or prepare it with the model's"
        )
    return prepared


def whole_texts(corpus: Corpus) -> Iterator[str]:
    """Every document in full, including the part that `prepare` would hold out."""
    pieces: list[str] = []
    for piece in corpus.pieces():
        is_rest_of_a_cut_text = piece.split == "val"
        if piece.begins and pieces and not is_rest_of_a_cut_text:
            yield "".join(pieces)
            pieces = []
        pieces.append(piece.text)
    if pieces:
        yield "".join(pieces)
