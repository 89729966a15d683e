"""Describe the first difference of a part from the reference."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

# Of a result with no known relation to the reference's, from which no right result follows.
NOTHING_RIGHT = "nothing right follows"
# Of an output with the right numbers.
OTHER_SHAPE = "the right numbers in another shape"


@dataclass(frozen=True)
class Location:
    """The first difference of a part from the reference.

    agrees, agrees_is: the last right line, and its result; None for the input.
    differs: the first wrong line. differs_is: its difference.
    first_wrong: its result's event.
    is_effect: whether the line has a wrong effect instead of a wrong result.
    suggests: the only mistake with this difference; empty if there are several.
    called: the line of the part itself that leads to the wrong line, if that is another.
    claim: the claim that fails because of the line, if it is not the first failed one.
    is_repeated: whether other runs of the line, as in a loop, have right results.
    """

    agrees: int | None
    agrees_is: str
    differs: int
    differs_is: str
    first_wrong: Tensor | None = None
    is_effect: bool = False
    suggests: str = ""
    called: int | None = None
    claim: str = ""
    is_repeated: bool = False

    def sentence(self, place: Callable[[int], str] = "line {}".format) -> str:
        """A sentence about the two lines, the wrong one first.

        place: gives a line's name.
        """
        if self.claim:
            return f'"{_begun(self.claim)}" fails because of {place(self.differs)}.'
        if self.differs_is == NOTHING_RIGHT:
            at = place(self.differs)
            if self.is_repeated:
                return f"See {at}."
            return f"Nothing in the reference equals what {at} computes, or what follows from it."
        if self.differs_is == OTHER_SHAPE:
            return f"{_begun(place(self.differs))} returns {self.differs_is}."
        via = "" if self.called is None else f", called in {place(self.called)},"
        wrong = f"{_begun(place(self.differs))}{via} is the first that differs: {self.differs_is}."
        if not self.differs_is:
            return f"The error begins in {place(self.differs)}."
        if self.is_effect:
            return f"The error begins in {place(self.differs)}: {self.differs_is}."
        if self.agrees is None or self.agrees in (self.differs, self.called):
            return wrong
        return f"{wrong} {_begun(place(self.agrees))} is still right: {self.agrees_is}."


def _begun(text: str) -> str:
    """A text with a capital, unless it begins with a name such as top_p."""
    is_name = "_" in text.split(" ", 1)[0]
    return text if is_name else text[:1].upper() + text[1:]
