"""Read the training stories of the package's own grammar as a corpus."""

import hashlib
from collections.abc import Iterator
from typing import Any

from gpt2_small.data.corpora.corpus import (
    Piece,
    Place,
    RowCounts,
    always_held_out,
    document_hash,
)


class StoriesCorpus:
    """The training text of the grammar; each story is a document. Needs torch."""

    name = "stories"

    def __init__(self, *, seed: int = 0, limit: int | None = None) -> None:
        from gpt2_small import stories

        self.limit = limit
        count = stories.TRAINING_STORIES if limit is None else min(limit, stories.TRAINING_STORIES)
        self._texts = [stories.join_words(s) for s in stories.training_stories(seed, count)]
        self.origin: dict[str, Any] = {
            "stories_seed": seed,
            "sha256": hashlib.sha256("\n".join(self._texts).encode()).hexdigest(),
        }
        self.documents: int | None = len(self._texts)
        self.bytes: int | None = sum(map(len, self._texts))
        self.always_held_out = always_held_out(document_hash(t.encode()) for t in self._texts)
        self.cuts_documents = self.always_held_out is None
        self.left_out: dict[str, str] = {}
        self.remarks: list[str] = []
        self.place: Place = {}
        self.counts = RowCounts()

    def pieces(self, place: Place | None = None) -> Iterator[Piece]:
        """One piece for each story."""
        first = place["number"] if place else 0
        for number, text in enumerate(self._texts[first:], start=first + 1):
            self.place = {"number": number}
            yield Piece(text, "cut" if self.cuts_documents else None)
