"""Test the view Continue in a browser: generation, selection, branches, stop."""

import re

import pytest
from app_pages import TEXT, random_model
from browsing import Tab, served_page, wait_for

from gpt2_small import binding
from gpt2_small.app.models import Models
from gpt2_small.generation import SamplingOptions, Stream, open_model
from gpt2_small.runs import create_run, save_checkpoint
from gpt2_small.stories import StoriesTokenizer

pytestmark = pytest.mark.browser


def test_a_text_is_generated_token_by_token_and_shaded(tab) -> None:
    tab.write(TEXT, 20)
    assert tab.tokens().count() == len(TEXT) + 20
    assert tab.page.locator(".tok .s5, .tok .s4, .tok .s3").count() > 0
    assert "20 tokens" in tab.page.get_by_role("status").filter(has_text="Wrote").inner_text()


def test_a_tokens_tooltip_shows_the_models_probabilities(tab, run) -> None:
    tab.set_option("seed", "7")
    tab.write(TEXT, 8)
    loaded = open_model(run)
    options = SamplingOptions(seed=7, max_new_tokens=8, candidates=10)
    step = list(Stream(binding.bound(), loaded, [TEXT], options))[3]
    token = tab.tokens().nth(len(TEXT) + 3)
    token.locator(".word").hover()
    said = tab.page.get_by_role("tooltip").inner_text()
    assert f"id {step.id}" in said
    assert f"bytes {loaded.tokenizer.decode_bytes([step.id]).hex()}" in said
    value = float(said.split("”")[1].split("%")[0])
    assert value == pytest.approx(100 * 2.718281828**step.log_probability, rel=0.01)


def test_choosing_a_candidate_creates_a_branch_and_the_tree_returns_to_the_old_one(tab) -> None:
    tab.write(TEXT, 12)
    before = tab.page.locator(".tokens").first.inner_text()
    tab.tokens().nth(len(TEXT) + 4).click()
    candidates = tab.page.locator("#candidates button")
    candidates.nth(9).wait_for()
    other = tab.page.locator("#candidates button:not(.taken)").first
    other.click()
    tab.page.locator(".tree ul button").nth(1).wait_for()
    tab.wait_until_written()
    after = tab.page.locator(".tokens").first.inner_text()
    assert after[: len(TEXT) + 3] == before[: len(TEXT) + 3]
    assert after != before
    branches = tab.page.locator(".tree ul button")
    assert branches.count() == 2
    branches.first.click()
    assert tab.page.locator(".tokens").first.inner_text() == before
    branches.last.click()
    assert tab.page.locator(".tokens").first.inner_text() == after


def test_a_candidate_inside_the_prompt_creates_a_branch_and_keeps_the_text(tab) -> None:
    tab.write(TEXT, 3)
    before = tab.page.locator(".tokens").first.inner_text()
    tab.tokens().nth(5).click()
    tab.page.locator("#candidates button:not(.taken)").nth(2).click()
    tab.wait_until_written()
    assert tab.tokens().count() == 5 + 1 + 3
    branches = tab.page.locator(".tree button")
    assert branches.count() == 2
    branches.first.click()
    assert tab.page.locator(".tokens").first.inner_text() == before


def test_the_same_prompt_again_creates_another_branch(tab) -> None:
    tab.set_option("seed", "1")
    tab.write(TEXT, 6)
    before = tab.page.locator(".tokens").first.inner_text()
    tab.set_option("seed", "2")
    tab.write(TEXT, 6)
    branches = tab.page.locator(".tree button")
    assert branches.count() == 2
    assert tab.page.locator(".tokens").first.inner_text() != before
    branches.first.click()
    assert tab.page.locator(".tokens").first.inner_text() == before
    tab.write("Another prompt", 6)
    assert tab.page.locator(".tree button:visible").count() == 0


def test_candidates_have_probabilities_before_and_after_the_sampling_options(tab) -> None:
    tab.set_option("top_k", "2")
    tab.write(TEXT, 5)
    tab.tokens().nth(len(TEXT) + 2).click()
    tab.page.get_by_text("after temperature and cuts (2 left)").wait_for()
    assert tab.page.locator("#candidates .bar.cut").count() == 8
    said = tab.page.locator("#candidates .bar").first.get_attribute("aria-label")
    before, after = (float(share) for share in re.findall(r"([0-9.]+) %", said))
    assert after > before


def test_a_candidate_keeps_the_focus_when_its_numbers_arrive(tab) -> None:
    tab.set_option("top_k", "2")
    tab.write(TEXT, 5)
    held: list = []
    tab.page.route("**/api/next", lambda route: held.append(route))
    tab.tokens().nth(len(TEXT) + 2).click()
    button = tab.page.locator("#candidates button").nth(1)
    button.focus()
    wait_for(lambda: tab.page.title() and held)
    tab.page.unroute_all()
    tab.page.get_by_text("after temperature and cuts (2 left)").wait_for()
    assert button.evaluate("button => button === document.activeElement")


def test_continuing_appends_to_the_text(tab) -> None:
    tab.write(TEXT, 5)
    tab.page.locator("#more").click()
    tab.wait_until_written()
    assert tab.tokens().count() == len(TEXT) + 10


def test_stop_ends_generation_and_keeps_the_text_so_far(tab, served) -> None:
    tab.set_option("max_new_tokens", "4096")
    tab.page.locator("#prompt").fill(TEXT)
    tab.page.locator("#go").click()
    tab.tokens().nth(len(TEXT) + 5).wait_for()
    tab.page.locator("#stop").click()
    tab.wait_until_written()
    assert "Stopped after" in tab.page.locator(".actions [role=status]").inner_text()
    assert tab.tokens().count() > len(TEXT) + 5
    wait_for(lambda: served[1].thread.active == 0)


def test_choosing_a_candidate_shows_the_page_as_busy_before_the_server_answers(tab) -> None:
    tab.write(TEXT, 5)
    tab.tokens().nth(len(TEXT) + 2).click()
    other = tab.page.locator("#candidates button:not(.taken)").first
    other.wait_for()
    held: list = []
    tab.page.route("**/api/continue", lambda route: held.append(route))
    tab.page.route("**/api/tokens", lambda route: held.append(route))
    other.click()
    assert tab.page.locator("#stop").is_enabled()
    wait_for(lambda: tab.tokens().count() and held)
    for request in held:
        request.continue_()
    tab.page.unroute_all()
    tab.wait_until_written()
    assert tab.tokens().count() == len(TEXT) + 3 + 5


def test_the_servers_error_is_shown_on_the_page(tab) -> None:
    tab.set_option("temperature", "-1")
    tab.page.locator("#go").click()
    tab.page.get_by_text("temperature is -1.0; give 0 (greedy)").wait_for()
    tab.problems = [each for each in tab.problems if "400" not in each]


def test_the_grammars_probabilities_are_shown_beside_a_stories_model(
    browser, solution, tmp_path
) -> None:
    tokenizer, fields = StoriesTokenizer(), dict(d_model=24, n_layers=1, n_heads=2, n_ctx=40)
    fields["d_vocab"] = tokenizer.vocab_size
    create_run(tmp_path / "run", model_fields=fields, tokenizer=tokenizer, run={})
    save_checkpoint(tmp_path / "run", 1, random_model(solution, 1, **fields))
    with served_page(Models(str(tmp_path / "run"))) as (address, _), Tab(browser, address) as tab:
        tab.write("Once upon a time Tom was", 4)
        tab.page.get_by_text("divergence from the grammar").wait_for()
        tab.tokens().nth(5).click()
        tab.page.get_by_text("the grammar's truth").wait_for()
        assert "6.25 %" in tab.page.locator(".facts").inner_text()
