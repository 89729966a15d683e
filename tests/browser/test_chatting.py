"""Test the view Chat in a browser."""

import pytest
from app_pages import random_model, small_run
from browsing import Tab, served_page, wait_for

from gpt2_small.app.models import Models
from gpt2_small.runs import create_run, save_checkpoint
from gpt2_small.stories.dialogues.dialogue_tokenizer import dialogue_tokenizer

pytestmark = pytest.mark.browser


def test_a_conversation_can_be_continued_undone_and_edited(tab) -> None:
    tab.set_option("seed", "5")
    tab.open("chat")
    messages = tab.page.locator(".message")
    tab.page.locator("#message").fill("Hi")
    tab.page.keyboard.press("Enter")
    retry = tab.page.get_by_role("button", name="Retry")
    tab.page.locator(".message .tok").first.wait_for()
    tab.page.locator("button:not(:disabled)", has_text="Retry").wait_for()
    assert messages.count() == 2
    tab.page.locator(".message .tok").first.click()
    tab.page.locator(".bars .bar").nth(9).wait_for()
    words = tab.page.locator(".bars .bar").evaluate_all("all => all.map((bar) => bar.className)")
    taken = [place for place, name in enumerate(words, start=1) if "taken" in name]
    said = tab.page.get_by_role("tooltip").inner_text()
    assert f"rank {taken[0] if taken else 'over 10'}\n" in said
    retry.click()
    tab.page.locator("button:not(:disabled)", has_text="Retry").wait_for()
    assert messages.count() == 2
    tab.page.reload()
    tab.page.locator(".message .tok").first.wait_for()
    tab.page.get_by_role("button", name="Edit").click()
    assert tab.page.locator("#message").input_value() == "Hi"
    assert messages.count() == 0
    tab.page.locator("#message").fill("<b>Hey</b>")
    tab.page.get_by_role("button", name="Send").click()
    tab.page.locator(".message.user").get_by_text("<b>Hey</b>").wait_for()
    tab.page.locator("button:not(:disabled)", has_text="Undo").click()
    assert messages.count() == 0
    assert tab.page.locator("main b").count() == 0


@pytest.fixture
def endless(solution, tmp_path) -> Models:
    """Serve a model with roles that reads long texts and never ends its turn."""
    shape = dict(n_ctx=5000, tied_embeddings=False)
    return Models(
        str(small_run(solution, tmp_path / "endless", tokenizer_name="byte-chat", **shape))
    )


def test_stop_ends_an_answer_and_keeps_the_text_so_far(browser, endless) -> None:
    with served_page(endless) as (address, page), Tab(browser, address) as tab:
        tab.set_option("max_new_tokens", "4096")
        tab.open("chat")
        tab.page.locator("#message").fill("Hi")
        tab.page.keyboard.press("Enter")
        tokens = tab.page.locator(".message .tok")
        tokens.nth(20).wait_for()
        assert page.thread.active > 0
        tab.page.get_by_role("button", name="Stop").click()
        tab.page.get_by_text("Stopped.").wait_for()
        wait_for(lambda: page.thread.active == 0)
        assert 20 < tokens.count() < 4096
        written = tab.page.locator(".message .tokens").inner_text()
        tab.page.reload()
        tokens.nth(20).wait_for()
        assert tab.page.locator(".message .tokens").inner_text() == written
        tab.page.get_by_role("button", name="Retry").click()
        tab.page.get_by_role("button", name="Stop").click()
        tab.page.locator("button:not(:disabled)", has_text="Send").wait_for()
        assert tab.page.locator(".message").count() in (0, 2)


def test_leaving_the_page_ends_an_answer(browser, endless) -> None:
    with served_page(endless) as (address, page):
        with Tab(browser, address) as tab:
            tab.set_option("max_new_tokens", "4096")
            tab.open("chat")
            tab.page.locator("#message").fill("Hi")
            tab.page.keyboard.press("Enter")
            tab.page.locator(".message .tok").nth(20).wait_for()
            assert page.thread.active > 0
        wait_for(lambda: page.thread.active == 0)


def test_a_model_with_a_small_vocabulary_offers_messages_within_it(
    browser, solution, tmp_path
) -> None:
    tokenizer, fields = dialogue_tokenizer(), dict(d_model=24, n_layers=1, n_heads=2, n_ctx=200)
    fields["d_vocab"] = tokenizer.vocab_size
    create_run(tmp_path / "run", model_fields=fields, tokenizer=tokenizer, run={})
    save_checkpoint(tmp_path / "run", 1, random_model(solution, 1, **fields))
    with served_page(Models(str(tmp_path / "run"))) as (address, _), Tab(browser, address) as tab:
        tab.open("chat")
        tab.page.get_by_role("button", name="Tell of Rosa and the hat.").click()
        tab.page.locator(".message.user").get_by_text("Tell of Rosa and the hat.").wait_for()
        tab.page.locator("button:not(:disabled)", has_text="Retry").wait_for()
        assert tab.page.locator(".examples button").count() == 0


def test_a_model_without_roles_shows_how_to_train_them(browser, solution, tmp_path) -> None:
    models = Models(str(small_run(solution, tmp_path / "plain")))
    with served_page(models) as (address, _), Tab(browser, address) as tab:
        tab.open("chat")
        said = tab.page.locator("#no-roles").inner_text()
        assert "gpt2-small prepare" in said
        assert "gpt2-small train" in said


def test_a_token_of_an_answer_can_be_inspected_while_it_is_written(browser, endless) -> None:
    with served_page(endless) as (address, _), Tab(browser, address) as tab:
        tab.set_option("max_new_tokens", "4096")
        tab.open("chat")
        tab.page.locator("#message").fill("Hi")
        tab.page.keyboard.press("Enter")
        tokens = tab.page.locator(".message .tok")
        tokens.nth(20).wait_for()
        tab.page.get_by_label("Show probabilities").click()  # draws the text again
        tokens.nth(tokens.count() + 20).wait_for()
        numbers = tokens.evaluate_all("all => all.map((each) => Number(each.dataset.index))")
        assert numbers == list(range(len(numbers)))
        tab.page.get_by_role("button", name="Stop").click()
        tab.page.get_by_text("Stopped.").wait_for()


def test_a_growing_answer_stays_in_sight_and_moves_no_button(browser, endless) -> None:
    with served_page(endless) as (address, _), Tab(browser, address) as tab:
        tab.set_option("max_new_tokens", "4096")
        tab.open("chat")
        tab.page.locator("#message").fill("Hi")
        tab.page.keyboard.press("Enter")
        messages, stop = tab.page.locator(".messages"), tab.page.get_by_role("button", name="Stop")
        left = "box => box.scrollHeight - box.scrollTop - box.clientHeight"
        wait_for(lambda: messages.evaluate("box => box.scrollTop") > 60)  # it has filled its box
        before, seen = stop.bounding_box(), tab.page.locator(".message .tok").count()
        tab.page.locator(".message .tok").nth(seen + 200).wait_for()
        assert stop.bounding_box() == before
        assert messages.evaluate(left) < 40
        messages.evaluate("box => box.scrollTop = 0")
        seen = tab.page.locator(".message .tok").count()
        tab.page.locator(".message .tok").nth(seen + 200).wait_for()
        assert messages.evaluate("box => box.scrollTop") == 0
        stop.click()


def test_a_refused_message_returns_to_the_box_before_what_was_typed_meanwhile(tab) -> None:
    held: list = []
    tab.page.route("**/api/chat", lambda route: held.append(route))
    tab.open("chat")
    tab.page.locator("#message").fill("First")
    tab.page.keyboard.press("Enter")
    wait_for(lambda: tab.page.title() and held)
    tab.page.locator("#message").fill("Second")
    held[0].fulfill(body='{"error": "it does not fit"}\n', content_type="application/x-ndjson")
    tab.page.get_by_text("it does not fit").wait_for()
    assert tab.page.locator("#message").input_value() == "First\nSecond"
    assert tab.page.locator(".message").count() == 0
