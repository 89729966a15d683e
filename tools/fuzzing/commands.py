"""Draw random arguments for the program's commands."""

import random
from typing import Any

import typer.main

from gpt2_small import cli

from .words import ASSIGNMENTS, FILES, NUMBERS, TEXTS, USUAL, values_of


def usual_words(command: str) -> list[str]:
    return list(USUAL.get(command, []))


def commands() -> dict[str, Any]:
    """Return the program's commands by name, as click knows them."""
    group: Any = typer.main.get_command(cli.app)
    return dict(group.commands)


def random_words(command: Any, rng: random.Random) -> list[str]:
    """Return arguments for a command: usual ones, with random options added or replaced."""
    words = usual_words(command.name) if rng.random() < 0.6 else []
    for parameter in command.params:
        if rng.random() > (0.5 if parameter.param_type_name == "argument" else 0.25):
            continue
        values = [value_for(parameter, rng) for _ in range(max(1, abs(parameter.nargs)))]
        if parameter.param_type_name == "argument":
            words += values
        elif getattr(parameter, "is_flag", False):
            words.append(parameter.opts[0])
        else:
            words += [parameter.opts[0], *values]
    if rng.random() < 0.1 and words:
        words.insert(rng.randrange(len(words)), rng.choice(TEXTS))
    return [word.replace("\0", "") for word in words]


def value_for(parameter: Any, rng: random.Random) -> str:
    """Return a value for a parameter: often of its type, sometimes anything."""
    if parameter.name in ("set_", "set"):
        return rng.choice(ASSIGNMENTS)
    known = values_of(parameter.name)
    if known and rng.random() < 0.7:
        return rng.choice(known)
    kind = kind_of(parameter) if rng.random() < 0.9 else "text"
    if kind in ("int", "float"):
        return rng.choice(NUMBERS)
    return rng.choice(FILES if kind == "path" else (*TEXTS, *FILES))


def kind_of(parameter: Any) -> str:
    """Return `int`, `float`, `path` or `text`, as typer or click describe a parameter."""
    described = str(getattr(parameter, "type_descriptor", None) or parameter.type).lower()
    return next((kind for kind in ("int", "float", "path") if kind in described), "text")
