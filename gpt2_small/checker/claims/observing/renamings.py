"""Find which parameters stand for missing ones under other names."""

import difflib


def renamings(
    expected: dict[str, tuple[int, ...]], actual: dict[str, tuple[int, ...]]
) -> dict[str, str]:
    """For each unknown name, the likeliest missing parameter of the same shape.

    Another module stands for a missing one only if it has all of its missing parameters: of a norm
    that is missing, an MLP has the bias alone.
    """
    missing = {name: shape for name, shape in expected.items() if name not in actual}
    unknown = {name: shape for name, shape in actual.items() if name not in expected}
    pairs = sorted(
        (-_likeness(wanted, name), wanted, name)
        for wanted, shape in missing.items()
        for name, other in unknown.items()
        if shape == other
    )
    found: dict[str, str] = {}
    for _, wanted, name in pairs:
        if wanted not in found.values() and name not in found:
            found[name] = wanted
    lacking = {_owner(wanted) for wanted in missing.keys() - set(found.values())}
    return {
        name: wanted
        for name, wanted in found.items()
        if _owner(name) == _owner(wanted) or _owner(wanted) not in lacking
    }


def _owner(name: str) -> str:
    """The path of the module that has a parameter."""
    return name.rpartition(".")[0]


def _likeness(wanted: str, name: str) -> float:
    a, b = (text.lower().replace("_", "") for text in (wanted, name))
    same_start = 0.3 if a[:1] == b[:1] else 0.0
    contained = 0.3 if wanted[-1].lower() in b.replace("weight", "").replace("bias", "") else 0.0
    return difflib.SequenceMatcher(None, a, b).ratio() + same_start + contained
