"""Word the naming: the mistakes that explain a part, and the failures that they do not."""

from collections.abc import Sequence

from gpt2_small.checker.mistakes.mistake import Mistake


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
) -> str:
    """Describe the result of naming, as sentences.

    function: the mistakes in its function; is_whole: whether they explain it exactly.
    beside: mistakes that do not change its function. next_closest: id of the mistake whose
        output comes nearest to the file's. besides: claims that fail for another reason.
    is_nothing_else: whether the function is right but for these mistakes, with another number.
    is_exact: whether the mistakes of `beside` explain every number.
    accepts: the claim about refusals, if it fails for another reason.
    """
    is_another = next_closest not in {None, *(mistake.id for mistake in (*function, *beside))}
    closest = f" (next closest: {next_closest})" if is_another else ""
    sentences = []
    if function and is_whole:
        what = "its output" if beside or besides or accepts else "every result"
        sentences.append(f"Your {part} {_joined(function)}. This explains {what} exactly{closest}.")
    elif function and is_nothing_else:
        sentences.append(
            f"Your {part} {_joined(function)}. Nothing else that it computes is wrong."
        )
    elif function:
        sentences.append(
            f"Your {part} {_joined(function)}. This does not explain every result: something "
            "else may be wrong too."
        )
    elif function_failed:
        near = f"; the closest is {next_closest}" if next_closest else ""
        sentences.append(f"No known mistake of {part} behaves like it{near}.")
    for number, mistake in enumerate(beside):
        subject = "It also" if number or function_failed else f"Your {part}"
        sentences.append(f"{subject} {mistake.sentence.rstrip('.')}.")
    is_all = not besides and not accepts and is_exact
    if beside and not function_failed and is_all:
        sentences.append("This explains every result exactly.")
    if accepts and (function_failed or beside):
        sentences.append(f'It also accepts bad input that it should refuse ("{accepts}").')
    if besides and (function_failed or beside):
        rest = ", ".join(f'"{claim}"' for claim in besides)
        unexplained = ", and not explained by this" if function or beside else ""
        sentences.append(f"Failing too{unexplained}: {rest}.")
    return " ".join(filter(None, sentences))


def _joined(mistakes: Sequence[Mistake]) -> str:
    return ", and it ".join(mistake.sentence.rstrip(".") for mistake in mistakes)
