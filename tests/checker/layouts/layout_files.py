"""Read and edit the models in `files`, which have other names and shapes of parameters."""

from pathlib import Path

from gpt2_small.checker.verdict import Verdict

FILES = Path(__file__).parent / "files"


def layout_path(layout: str) -> Path:
    return FILES / f"{layout.replace('-', '_')}.py"


def text_of(layout: str) -> str:
    return layout_path(layout).read_text()


def changed(layout: str, *edits: tuple[str, str]) -> str:
    """Return a layout's file with every occurrence of each piece of its text replaced."""
    text = text_of(layout)
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return text


def wrong_of(verdict: Verdict) -> dict[str, tuple[str, ...]]:
    """Return the failing parts, with their mistakes."""
    return {
        part: verdict.reports[part].mistakes
        for part in verdict.parts()
        if verdict.state_of(part) != "passed"
    }
