"""Test that the docs site builds without warnings and loads nothing from other servers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT

# What a browser fetches by itself; not the links that a reader follows.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*?\bsrc=["']?(https?:)?//"""
    r"""|<link\b(?![^>]*rel=["']?(?:canonical|next|prev))[^>]*?\bhref=["']?(https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_of_docs_is_built(site: Path) -> None:
    pages = {page.relative_to(ROOT / "docs") for page in (ROOT / "docs").rglob("*.md")}
    assert all((site / page.with_suffix(".html")).is_file() for page in pages)


def test_the_parts_docstrings_are_on_the_site(site: Path) -> None:
    page = (site / "reference" / "parts.html").read_text(encoding="utf-8")
    assert 'id="solution.MultiHeadAttention"' in page
    assert "Each head compares a position" in page


def test_no_page_fetches_anything_from_another_server(site: Path) -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    assert [page for page, text in pages.items() if FETCHED.search(text)] == []


@pytest.mark.parametrize(
    ("text", "fetches"),
    [
        ('<script src="https://cdn.example/x.js">', True),
        ('<link rel="stylesheet" href="//fonts.example/css">', True),
        ('<link rel="canonical" href="https://docs.example/">', False),
        ('<a href="https://example.org">', False),
    ],
)
def test_addresses_that_a_page_fetches_are_detected(text: str, fetches: bool) -> None:
    assert bool(FETCHED.search(text)) is fetches
