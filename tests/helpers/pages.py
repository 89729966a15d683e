"""Read the pages of docs/ and the code blocks on them."""

import re

from processes import ROOT


def page(name: str) -> str:
    """Return a page's text."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def block(name: str, kind: str) -> str:
    """Return the page's one block that begins with this line after the three backticks."""
    found: str
    [found] = re.findall(rf"^```{kind}\n(.*?)^```$", page(name), flags=re.DOTALL | re.MULTILINE)
    return found
