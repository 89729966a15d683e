"""A text to train on: a file or a data set of the hub, tokenized and split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gpt2_small.data.batches import check_length
from gpt2_small.data.hub_datasets import read_documents
from gpt2_small.data.text_files import read_text
from gpt2_small.tokenizers.protocol import DOCUMENT_GAP, Tokenizer, encode_array
from gpt2_small.tokenizers.registry import check_spec, make_tokenizer

HUB_PREFIX = "hub:"
FILE_TOKENIZER = "char"
HUB_TOKENIZER = "bpe:4096"


@dataclass(frozen=True)
class Corpus:
    """A tokenized text in two parts.

    `train` and `validation` are `[tokens]`, uint16 or uint32.
    """

    name: str
    tokenizer: Tokenizer
    train: np.ndarray
    validation: np.ndarray


def load_corpus(
    source: str | Path,
    *,
    tokenizer: str | Tokenizer | None = None,
    n_ctx: int = 1,
    max_characters: int = 20_000_000,
    column: str | None = None,
) -> Corpus:
    """Reads, splits and tokenizes a text.

    A file's last tenth of characters is for validation. Of a data set every tenth document is; with
    fewer than ten documents, the last tenth of the text. Documents are separated by the tokenizer's
    end of text, or where it has none by an empty line.

    Args:
        source: a file of UTF-8 text, or `hub:NAME` (see `hub.read_documents`).
        tokenizer: one that exists, or `gpt2`, `byte`, `char` (alphabet of the whole text) or
            `bpe:SIZE` (trained on the training part). None is `char` for a file and a byte-pair
            vocabulary for a data set.
        n_ctx: targets in a training window; the training part must hold one window.
        max_characters: how much of a data set is read.
        column: the column of a data set that is the text.

    Raises:
        UserError: the source cannot be read or is not text, the tokenizer is unknown, or the text
            is shorter than one window.
    """
    if isinstance(tokenizer, str):
        check_spec(tokenizer)
    if str(source).startswith(HUB_PREFIX):
        hub_name = str(source).removeprefix(HUB_PREFIX)
        documents = list(read_documents(hub_name, max_characters=max_characters, column=column))
        train, validation = split_documents(documents)
        tokenizer = tokenizer or HUB_TOKENIZER
    else:
        train, validation = split_documents([read_text(source)])
        tokenizer = tokenizer or FILE_TOKENIZER
    if isinstance(tokenizer, str):
        alphabet = DOCUMENT_GAP.join(validation) if tokenizer == "char" else ""
        tokenizer = make_tokenizer(tokenizer, DOCUMENT_GAP.join(train) + alphabet)
    corpus = Corpus(
        str(source), tokenizer, _encode(tokenizer, train), _encode(tokenizer, validation)
    )
    check_length(len(corpus.train), n_ctx, f"the training part of {source}")
    check_length(len(corpus.validation), 1, f"the validation part of {source}")
    return corpus


def split_documents(documents: Sequence[str]) -> tuple[list[str], list[str]]:
    """Training and validation documents, as `load_corpus` splits them."""
    if len(documents) >= 10:
        return (
            [document for index, document in enumerate(documents) if index % 10 != 9],
            list(documents[9::10]),
        )
    text = DOCUMENT_GAP.join(documents)
    cut = len(text) - len(text) // 10
    return [text[:cut]], [text[cut:]]


def _encode(tokenizer: Tokenizer, documents: Sequence[str]) -> np.ndarray:
    if tokenizer.end_of_text is None or len(documents) == 1:
        return encode_array(tokenizer, DOCUMENT_GAP.join(documents))
    parts = []
    for document in documents:
        ids = encode_array(tokenizer, document)
        parts += [ids, np.array([tokenizer.end_of_text], dtype=ids.dtype)]
    return np.concatenate(parts)
