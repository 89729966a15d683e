"""List mistakes that several parts share: initialisations, rates of dropout, plain tensors."""

from collections.abc import Mapping

from gpt2_small.checker.mistakes.mistake import Mistake

Hints = tuple[str, str, str]

# How the weights of a part are often drawn instead; {} stands for the shape.
_INITIALISATIONS = {
    "all-standard-normal": ("nn.Parameter(torch.randn({}))", "with a standard deviation of 1"),
    "all-from-0-to-1": ("nn.Parameter(torch.rand({}))", "evenly between 0 and 1"),
    "all-xavier": ("nn.Parameter(nn.init.xavier_uniform_(torch.empty({})))", "by Xavier's rule"),
    "all-kaiming": ("nn.Parameter(nn.init.kaiming_normal_(torch.empty({})))", "by Kaiming's rule"),
    "all-like-linear": (
        "nn.Parameter(nn.init.uniform_(torch.empty({}), -({fan_in}**-0.5), {fan_in}**-0.5))",
        "as nn.Linear draws its own",
    ),
    "all-zeros": ("nn.Parameter(torch.zeros({}))", "as zeros"),
    "all-fixed": ("normal_parameter({}, std=0.02)", "with 0.02 instead of init_std"),
    "all-by-width": ("normal_parameter({}, std=config.d_model**-0.5)", "with 1/sqrt(d_model)"),
}


def initialisations(
    part: str,
    prefix: str,
    weights: Mapping[str, tuple[str, str]],
    hints: Hints,
    leave_out: tuple[str, ...] = (),
) -> list[Mistake]:
    """Other ways of drawing all weights of a part.

    weights: the reference's statement that makes a weight, its shape, and how many numbers a
        linear map of it reads.
    """
    found = []
    for name, (how, said) in _INITIALISATIONS.items():
        if name in leave_out:
            continue
        edits = [
            (old, f"{old.split(' = ', 1)[0]} = {how.format(shape, fan_in=fan_in)}")
            for old, (shape, fan_in) in weights.items()
        ]
        found.append(
            Mistake(
                id=f"{prefix}-init-{name}",
                component=part,
                old=edits[0][0],
                new=edits[0][1],
                also=tuple(edits[1:]),
                sentence=f"draws its weights {said}",
                hints=hints,
            )
        )
    return found


def fixed_rates(
    part: str, prefix: str, places: tuple[str, ...], hints: Hints, rates: tuple[float, ...]
) -> list[Mistake]:
    """Dropout of a rate that is not the configuration's, at every place at once.

    places: the reference's statements, which hold `nn.Dropout(config.dropout)`.
    """
    found = []
    for rate in rates:
        edits = [
            (p, p.replace("nn.Dropout(config.dropout)", f"nn.Dropout({rate})")) for p in places
        ]
        found.append(
            Mistake(
                id=f"{prefix}-dropout-fixed-at-{rate}",
                component=part,
                old=edits[0][0],
                new=edits[0][1],
                also=tuple(edits[1:]),
                sentence=f"drops with probability {rate} whatever config.dropout is",
                hints=hints,
            )
        )
    return found


def plain_tensors(part: str, prefix: str, said: str, tensors: Mapping[str, str]) -> Mistake:
    """What is learned is kept in tensors that are not parameters.

    tensors: the reference's statements that make a parameter, and the tensors instead.
    """
    edits = [(old, f"{old.split(' = ', 1)[0]} = {tensor}") for old, tensor in tensors.items()]
    kept = "a plain tensor, which is" if len(edits) == 1 else "plain tensors, which are"
    return Mistake(
        id=f"{prefix}-in-plain-tensor{'s' * (len(edits) > 1)}",
        component=part,
        old=edits[0][0],
        new=edits[0][1],
        also=tuple(edits[1:]),
        sentence=f"keeps {said} in {kept} not trained",
        hints=(
            "List its parameters: for name, p in part.named_parameters().",
            "An attribute is learned, saved and moved to a device only if it is an nn.Parameter.",
            edits[0][0],
        ),
    )
