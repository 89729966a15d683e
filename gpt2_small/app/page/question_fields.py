"""Read the model and the tokens from the fields of the page's questions."""

from typing import Any

from gpt2_small.app.models import MAIN, Models, Shown
from gpt2_small.app.serving import fields


class QuestionFields:
    """The models of a page, as its questions name them."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def shown(self, asked: dict[str, Any]) -> Shown:
        """The model that a question is about, the main one unless it names another.

        Raises UserError for one that there is not.
        """
        return self._models.get(fields.text(asked, "model", MAIN))

    def ids(self, shown: Shown, asked: dict[str, Any]) -> tuple[int, ...]:
        """The tokens that a question is about: its `ids`, or those of its `text`."""
        if "ids" in asked:
            return fields.token_ids(asked["ids"])
        return fields.encoded(shown.tokenizer, fields.text(asked, "text"))
