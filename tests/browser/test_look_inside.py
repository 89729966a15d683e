"""Test the views Look inside and Compare in a browser."""

import json
import re
from typing import Any

import pytest
import torch
from app_pages import SHAPE, TEXT, random_model, small_run
from browsing import Tab, look_at, served_page, wait_for

from gpt2_small import binding
from gpt2_small.app.models import Models
from gpt2_small.generation import open_model
from gpt2_small.model.hooks import hooks, run_with_cache

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def loaded(run):
    return open_model(run)


def test_a_hovered_weight_equals_the_cached_pattern(tab, loaded) -> None:
    ids = loaded.tokenizer.encode(TEXT)
    _, cache = run_with_cache(loaded.model, torch.tensor([ids]))
    look_at(tab)
    tab.page.locator("#head-1-2").click()
    tab.page.locator("#one-head").get_by_text("Layer 1, head 2").wait_for()
    tab.page.get_by_label("Attention of layer 1, head 2").focus()
    for _ in range(4):
        tab.page.keyboard.press("ArrowUp")
    for _ in range(6):
        tab.page.keyboard.press("ArrowRight")
    said = tab.page.get_by_role("tooltip").inner_text()
    weight = cache["blocks.1.attn.hook_pattern"][0, 2, len(ids) - 5, 6].item()
    assert f"weight {weight:.4f}" in said
    assert f"“{TEXT[len(ids) - 5]}” attends to “{TEXT[6]}”" in said


def test_the_last_row_of_the_logit_lens_shows_the_models_prediction(tab, loaded) -> None:
    ids = loaded.tokenizer.encode(TEXT)
    logits = loaded.model(torch.tensor([ids]))[0, :, : loaded.tokenizer.vocab_size]
    look_at(tab)
    last = tab.page.locator("#lens tbody tr").last
    assert last.locator("th").inner_text() == "the model"
    cell = last.locator("td").last
    cell.hover()
    said = tab.page.get_by_role("tooltip").inner_text()
    best = logits[-1].softmax(dim=-1).max().item()
    assert float(re.search(r"([\d.]+) %", said)[1]) == pytest.approx(100 * best, rel=0.02)


def test_ablating_a_head_shows_the_loss_of_a_model_with_a_hook(tab, loaded) -> None:
    ids = loaded.tokenizer.encode(TEXT)

    def zero(z: torch.Tensor) -> torch.Tensor:
        z = z.clone()
        z[:, :, 1] = 0
        return z

    with hooks(loaded.model, {"blocks.0.attn.hook_z": zero}):
        logits = loaded.model(torch.tensor([ids]))[0, :-1, : loaded.tokenizer.vocab_size]
    log_probs = logits.log_softmax(dim=-1).gather(1, torch.tensor(ids)[1:, None])
    look_at(tab)
    tab.page.locator("#head-0-1").click()
    tab.page.locator("#one-head").get_by_text("Layer 0, head 1").first.wait_for()
    tab.page.locator("#ablate").click()
    said = tab.page.get_by_text(re.compile("Without layer 0, head 1 the loss goes from"))
    said.wait_for()
    assert f"to {-log_probs.mean().item():.3f} nats" in said.inner_text()
    tab.page.locator("#ablate").click()
    tab.page.get_by_text(re.compile("Loss on this text:")).wait_for()


def test_a_correct_model_has_no_warning(tab) -> None:
    look_at(tab)
    assert tab.page.locator(".note.warn").count() == 0
    assert tab.page.locator(".head.odd").count() == 0


def test_two_checkpoints_are_compared_on_a_text(tab, loaded, solution, run) -> None:
    tab.open("compare")
    tab.page.locator("#compare-a").select_option("step:3")
    loss = tab.page.get_by_text(re.compile("Loss: "))
    loss.wait_for()
    ids = torch.tensor([loaded.tokenizer.encode("Once upon a time")])
    expected = []
    for step in (3, 9):
        fields = json.loads((run / "config.json").read_text())["model"]
        model = random_model(solution, step, **fields)
        logits = model(ids)[0, :-1, : loaded.tokenizer.vocab_size].log_softmax(dim=-1)
        expected.append(-logits.gather(1, ids[0, 1:, None]).mean().item())
    for value in expected:
        tab.page.get_by_text(f"{value:.3f}").first.wait_for()
    tab.page.get_by_role("button", name="Let both write on").click()
    tab.page.get_by_role("listbox", name="The second model's text").locator(".tok").nth(
        5
    ).wait_for()


def test_a_learners_file_is_compared_with_the_reference(browser, run, mine) -> None:
    models = Models(str(run), solution=binding.load(mine))
    with served_page(models) as (address, page), Tab(browser, address) as tab:
        tab.open("compare")
        said = tab.page.get_by_text(re.compile("Loss: "))
        said.wait_for()
        losses = []
        for key in ("reference", "main"):
            shown = page.models.get(key)
            ids = torch.tensor([shown.tokenizer.encode("Once upon a time")])
            logits = shown.model(ids)[0, :-1, : shown.tokenizer.vocab_size]
            log_probs = logits.log_softmax(dim=-1)
            losses.append(-log_probs.gather(1, ids[0, 1:, None]).mean().item())
        assert f"{losses[0]:.3f} nats a token for the first, {losses[1]:.3f}" in said.inner_text()
        assert abs(losses[0] - losses[1]) > 0.01


def held_requests(tab: Tab, path: str) -> list[Any]:
    """Hold requests of this path until the test continues them."""
    held: list[Any] = []
    tab.page.route(f"**/api/{path}", lambda route: held.append(route))
    return held


def test_ablations_that_arrive_in_another_view_are_shown_later(tab, served) -> None:
    tab.write(TEXT, 3)
    held = held_requests(tab, "ablations")
    tab.open("look")
    wait_for(lambda: tab.page.title() and held)
    tab.open("compare")
    with tab.page.expect_response("**/api/ablations"):
        held[0].continue_()
    wait_for(lambda: tab.page.title() and served[1].thread.active == 0)
    tab.open("look")
    tab.page.locator("#head-1-2 .effect").filter(has_text=re.compile(r"\d")).wait_for()


def test_the_heads_of_another_text_can_be_measured_after_an_abandoned_measurement(
    browser, solution, tmp_path
) -> None:
    shape = dict(n_layers=8, n_heads=8)  # more heads than are measured unasked
    models = Models(str(small_run(solution, tmp_path / "run", **shape)))
    with served_page(models) as (address, _), Tab(browser, address) as tab:
        held = held_requests(tab, "ablations")
        tab.open("look")
        tab.page.locator("#measure:not(:disabled)").click()
        wait_for(lambda: tab.page.title() and held)
        tab.page.unroute("**/api/ablations")
        tab.page.locator("#look-text").fill("Another text")
        tab.page.keyboard.press("Enter")
        tab.page.locator("#measure:not(:disabled)").click()
        tab.page.locator("#head-7-7 .effect").filter(has_text=re.compile(r"\d")).wait_for()


def test_the_loss_of_a_text_longer_than_the_context_is_of_its_scored_tokens(tab, loaded) -> None:
    text = 3 * TEXT
    ids = loaded.tokenizer.encode(text)[-SHAPE["n_ctx"] :]
    logits = loaded.model(torch.tensor([ids]))[0, :-1, : loaded.tokenizer.vocab_size]
    log_probs = logits.log_softmax(dim=-1).gather(1, torch.tensor(ids)[1:, None])
    tab.open("compare")
    tab.page.get_by_placeholder("Compare on another text").fill(text)
    tab.page.keyboard.press("Enter")
    tab.page.get_by_text(f"{-log_probs.mean().item():.3f} for the second").wait_for()


def test_a_text_is_compared_although_the_one_before_it_is_tokenized_later(tab, loaded) -> None:
    tokens = held_requests(tab, "tokens")
    tab.open("compare")
    wait_for(lambda: tab.page.title() and tokens)
    scores = held_requests(tab, "scores")
    tab.page.get_by_placeholder("Compare on another text").fill("Another text")
    tab.page.keyboard.press("Enter")
    wait_for(lambda: tab.page.title() and len(tokens) > 1)
    tokens[1].continue_()
    wait_for(lambda: tab.page.title() and scores)  # of the first model
    with tab.page.expect_response("**/api/tokens") as late:
        tokens[0].continue_()
    late.value.finished()
    tab.page.evaluate("() => new Promise((done) => setTimeout(done, 100))")  # it is read
    scores[0].continue_()
    wait_for(lambda: tab.page.title() and len(scores) > 1)  # of the second model
    ids = loaded.tokenizer.encode("Another text")
    assert [request.request.post_data_json["ids"] for request in scores] == [ids, ids]


def test_a_model_whose_numbers_are_not_finite_is_shown_without_numbers(
    browser, run, tmp_path
) -> None:
    file = tmp_path / "my_gpt2.py"
    text = binding.reference_path().read_text()
    file.write_text(text.replace("triu(diagonal=1)", "triu(diagonal=0)"))
    models = Models(str(run), solution=binding.load(file))
    with served_page(models) as (address, _), Tab(browser, address) as tab:
        tab.open("look")
        tab.page.locator("#head-1-2 .effect").filter(has_text="–").wait_for()
        tab.page.get_by_text("Loss on this text: – nats a token.").wait_for()
        tab.page.locator("#ablated .bar").first.wait_for()
        shares = tab.page.locator("#ablated .percent").all_inner_texts()
        assert set(shares) == {"–"}
        assert "100 %" not in tab.page.locator("#lens tbody tr").last.inner_text()
        assert tab.page.locator("#lens tbody tr").last.locator(".hit").count() == 0
        assert tab.page.locator("#away").is_hidden()
