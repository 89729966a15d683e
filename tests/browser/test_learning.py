"""Test a learner's file and a run's loss in a browser."""

import pytest
from app_pages import MASK, TEXT, WRONG_MASK
from browsing import Tab, served_page

from gpt2_small import binding
from gpt2_small.app.models import Models
from gpt2_small.app.page.learning import LearnerFile
from gpt2_small.runs import append_log

pytestmark = pytest.mark.browser


def test_the_loss_curve_of_a_run_is_updated_live(tab, run) -> None:
    tab.open("learn")
    tab.page.get_by_text("Step 9:").wait_for()
    before = tab.page.locator("svg.chart polyline").first.get_attribute("points")
    append_log(run, {"step": 10, "tokens": 80, "loss": 0.5})
    tab.page.get_by_text("Step 10: loss 0.500").wait_for()
    assert tab.page.locator("svg.chart polyline").first.get_attribute("points") != before


def test_a_wrong_mask_is_visible_and_named_until_the_file_is_corrected(
    browser, run, mine, monkeypatch
) -> None:
    models = Models(str(run), solution=binding.load(mine))
    learner = LearnerFile(mine, "my_gpt2.py")
    with served_page(models, learner) as (address, _), Tab(browser, address) as tab:
        tab.open("look")
        tab.page.locator("#looks-ahead").wait_for()
        assert tab.page.locator(".head.odd").count() == 6
        tab.page.locator("#named-mistake").get_by_text("attention-mask-too-late").wait_for(
            timeout=300_000
        )
        tab.open("learn")
        tab.page.locator("#parts li.failed").get_by_text("MultiHeadAttention").wait_for()
        tab.page.locator("button:not(:disabled)", has_text="Hint").click(timeout=300_000)
        tab.page.get_by_text("MultiHeadAttention, hint 1 of").wait_for(timeout=300_000)
        mine.write_text(mine.read_text().replace(WRONG_MASK, MASK))
        tab.page.locator("#parts li.passed").get_by_text("MultiHeadAttention").wait_for(
            timeout=300_000
        )
        tab.open("look")
        tab.page.locator(".head").first.wait_for()
        tab.page.locator("#looks-ahead").wait_for(state="detached")
        tab.page.locator(".head:not(.odd)").nth(5).wait_for()


def test_an_unfinished_file_is_watched_and_the_reference_shown_instead(
    browser, run, tmp_path
) -> None:
    file = tmp_path / "my_gpt2.py"
    text = binding.reference_path().read_text()
    body = "self.config = config\n        self.embed = Embedding(config)"
    assert text.count(body) == 1
    file.write_text(text.replace(body, "raise NotImplementedError"))
    models = Models(str(run), solution=binding.load(file))
    assert "line" in models.problem
    learner = LearnerFile(file, "my_gpt2.py")
    with served_page(models, learner) as (address, _), Tab(browser, address) as tab:
        tab.page.get_by_text("shown instead: the reference").wait_for()
        tab.write(TEXT, 3)
        assert tab.tokens().count() == len(TEXT) + 3
