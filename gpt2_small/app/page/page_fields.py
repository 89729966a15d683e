"""Read the model and the tokens from the fields of the page's requests."""

from typing import Any

from gpt2_small.app.models import MAIN, Models, ShownModel
from gpt2_small.app.serving import fields


class PageFields:
    """Reads models and tokens of requests."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def shown(self, asked: dict[str, Any]) -> ShownModel:
        """The model of a request, by default the main one.

        Raises UserError for an unknown model.
        """
        return self._models.get(fields.text(asked, "model", MAIN))

    def ids(self, shown: ShownModel, asked: dict[str, Any]) -> tuple[int, ...]:
        """The tokens of a request: its `ids`, or those of its `text`."""
        if "ids" in asked:
            return fields.token_ids(asked["ids"])
        return fields.encoded(shown.tokenizer, fields.text(asked, "text"))
