"""Format a plan's numbers: three digits and a familiar unit."""


def scaled(number: float, unit: str = "") -> str:
    """`2.49B`, `855 MFLOPs`: three digits and a multiple, with a space before a unit."""
    steps = "KMBT" if not unit else "KMGTP"
    power = 0
    while number >= 999.5 and power < len(steps):
        number, power = number / 1000, power + 1
    multiple = ("" if power == 0 else steps[power - 1]) + unit
    return f"{number:.3g}{' ' if unit else ''}{multiple}"


def rounded(number: float) -> str:
    """Three significant digits, or a whole number from 100 up."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def duration(seconds: float) -> str:
    """The value in its largest unit of at least 1."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= (2 if unit == "days" else 1) * length:
            return f"{rounded(seconds / length)} {unit}"
    return f"{rounded(seconds)} seconds"
