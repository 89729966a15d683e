"""Test that correct files in other styles pass every claim for all seeds."""

from pathlib import Path

import pytest
from checking import warm_checker

STYLES = sorted((Path(__file__).parent / "styles").glob("*.py"))


@pytest.mark.parametrize("path", STYLES, ids=lambda path: path.stem)
def test_a_correct_file_in_another_style_passes(path: Path) -> None:
    verdict = warm_checker().check(path, seed=3)
    assert verdict.error is None
    assert [result for result in verdict.results if result.status != "passed"] == []
