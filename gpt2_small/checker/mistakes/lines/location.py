"""Say where a part leaves the reference."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Location:
    """Where a part leaves the reference.

    agrees, agrees_is: the last line that is still right, and what it gives; None for the input.
    differs: the first line that is not right. differs_is: how it differs.
    first_wrong: its result.
    is_effect: whether the line does something wrong, instead of giving a wrong result.
    suggests: id of the mistake that does this; empty where several do.
    """

    agrees: int | None
    agrees_is: str
    differs: int
    differs_is: str
    first_wrong: Tensor | None = None
    is_effect: bool = False
    suggests: str = ""

    def sentence(self, place: Callable[[int], str] = "line {}".format) -> str:
        """The two lines in words, the wrong one first.

        place: how a line is called.
        """
        wrong = f"{_begun(place(self.differs))} is the first that differs: {self.differs_is}."
        if not self.differs_is:
            return f"It begins in {place(self.differs)}."
        if self.is_effect:
            return f"It begins in {place(self.differs)}: {self.differs_is}."
        if self.agrees is None or self.agrees == self.differs:
            return wrong
        return f"{wrong} {_begun(place(self.agrees))} is still right: {self.agrees_is}."


def _begun(text: str) -> str:
    return text[:1].upper() + text[1:]
