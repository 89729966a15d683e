"""Word the naming: the mistakes that explain a part, and the failures that they do not."""

from collections.abc import Iterator, Sequence

from gpt2_small.checker.mistakes.mistake import Mistake

# What is explained, if all of it is; by whether only the first check could be made.
_SEEN = {False: "every result", True: "the first check's result"}


def described(
    part: str,
    function: Sequence[Mistake],
    beside: Sequence[Mistake],
    *,
    is_whole: bool,
    function_failed: bool,
    next_closest: str | None,
    besides: Sequence[str],
    is_exact: bool = True,
    is_nothing_else: bool = False,
    accepts: str | None = None,
    is_gate: bool = False,
) -> str:
    """Describe the result of naming, as sentences.

    function: the mistakes in its function; is_whole: whether they explain it exactly.
    beside: mistakes that do not change its function. next_closest: id of the mistake whose
        output comes nearest to the file's. besides: claims that fail for another reason.
    is_nothing_else: whether the function is right but for these mistakes, with another number.
    is_exact: whether the mistakes of `beside` explain every number.
    accepts: a sentence about wrong refusals, if they have another reason.
    is_gate: whether nothing else was checked, because the first check failed.
    """
    about_function = _about_function(
        part,
        function,
        _SEEN[is_gate] if not (beside or besides or accepts) else "its output",
        next_closest if next_closest not in {m.id for m in (*function, *beside)} else None,
        is_whole=is_whole,
        is_nothing_else=is_nothing_else,
    )
    if not function and function_failed:
        near = f"; the closest is {next_closest}" if next_closest else ""
        about_function = f"No known mistake of {part} behaves like it{near}."
    sentences = [about_function]
    for number, mistake in enumerate(beside):
        subject = "It also" if number or function or function_failed else f"Your {part}"
        sentences.append(f"{subject} {mistake.sentence.rstrip('.')}.")
    is_all = not besides and not accepts and is_exact
    if beside and not function_failed and is_all:
        sentences.append(f"This explains {_SEEN[is_gate]} exactly.")
    if function_failed or beside:
        sentences += _unexplained(besides, accepts, is_named=bool(function or beside))
    return " ".join(filter(None, sentences))


def _about_function(
    part: str,
    mistakes: Sequence[Mistake],
    what: str,
    next_closest: str | None,
    *,
    is_whole: bool,
    is_nothing_else: bool,
) -> str:
    """The sentence about the mistakes in a part's function, if any was found.

    what: what they explain, if they explain the function exactly.
    """
    if not mistakes:
        return ""
    if is_whole:
        closest = f" (next closest: {next_closest})" if next_closest else ""
        rest = f"This explains {what} exactly{closest}."
    elif is_nothing_else:
        rest = "Nothing else that it computes is wrong."
    else:
        rest = "This does not explain every result: something else may be wrong too."
    return f"Your {part} {_joined(mistakes)}. {rest}"


def _unexplained(besides: Sequence[str], accepts: str | None, *, is_named: bool) -> Iterator[str]:
    """Sentences about the failures that have another reason."""
    if accepts:
        yield accepts
    if besides:
        rest = ", ".join(f'"{claim}"' for claim in besides)
        unexplained = ", and not explained by this" if is_named else ""
        yield f"Failing too{unexplained}: {rest}."


def _joined(mistakes: Sequence[Mistake]) -> str:
    return ", and it ".join(mistake.sentence.rstrip(".") for mistake in mistakes)
