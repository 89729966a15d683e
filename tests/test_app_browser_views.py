"""The page in a browser: Look inside, Compare, Learn, Chat, and that everyone can use it."""

import json
import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from app_pages import TEXT, random_model, small_run
from browsing import Tab, chromium, served_page, wait_for

from gpt2_small import binding
from gpt2_small.app.models import Models
from gpt2_small.app.page.learning import Learner
from gpt2_small.generation import open_model
from gpt2_small.model.hooks import hooks, run_with_cache
from gpt2_small.runs import append_log, create_run, save_checkpoint
from gpt2_small.stories import StoriesTokenizer
from gpt2_small.stories.dialogue_tokenizer import dialogue_tokenizer

pytestmark = pytest.mark.browser

VIEWS = ("continue", "look", "compare", "learn", "chat")


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def run(solution, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "small"
    small_run(solution, folder, (3, 9), tokenizer_name="byte-chat", tied_embeddings=False)
    for step in range(1, 10):
        append_log(folder, {"step": step, "tokens": step * 8, "loss": 9.0 / step})
    return folder


@pytest.fixture(scope="module")
def served(run):
    with served_page(Models(str(run))) as found:
        yield found


@pytest.fixture
def tab(browser, served):
    with Tab(browser, served[0]) as found:
        yield found


@pytest.fixture(scope="module")
def loaded(run):
    return open_model(run)


def look_at(tab: Tab, text: str = TEXT) -> None:
    tab.open("look")
    tab.page.locator("#look-text").fill(text)
    tab.page.locator("#look-text").press("Enter")
    tab.page.get_by_role("listbox", name="The text that is looked at").get_by_role("option").nth(
        len(text) - 1
    ).wait_for()
    tab.page.locator("#head-1-2 .effect").filter(has_text=re.compile(r"\d")).wait_for()


def test_the_hovered_weight_is_the_cache_s(tab, loaded) -> None:
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


def test_the_last_row_of_the_lens_names_what_the_model_says(tab, loaded) -> None:
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


def test_leaving_a_head_out_shows_the_loss_that_a_hook_gives(tab, loaded) -> None:
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


def test_a_right_model_has_no_warning(tab) -> None:
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


def test_a_learner_s_file_is_compared_with_the_reference(browser, run, mine) -> None:
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


def test_the_loss_of_a_run_grows_live(tab, run) -> None:
    tab.open("learn")
    tab.page.get_by_text("Step 9:").wait_for()
    before = tab.page.locator("svg.chart polyline").first.get_attribute("points")
    append_log(run, {"step": 10, "tokens": 80, "loss": 0.5})
    tab.page.get_by_text("Step 10: loss 0.500").wait_for()
    assert tab.page.locator("svg.chart polyline").first.get_attribute("points") != before


def test_a_conversation_is_held_taken_back_and_changed(tab) -> None:
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
    """A model with roles that reads long texts and never draws the end of a turn."""
    shape = dict(n_ctx=5000, tied_embeddings=False)
    return Models(
        str(small_run(solution, tmp_path / "endless", tokenizer_name="byte-chat", **shape))
    )


def test_stop_ends_an_answer_while_it_is_written_and_keeps_what_was_written(
    browser, endless
) -> None:
    with served_page(endless) as (address, page), Tab(browser, address) as tab:
        tab.set_option("max_new_tokens", "4096")
        tab.open("chat")
        tab.page.locator("#message").fill("Hi")
        tab.page.keyboard.press("Enter")
        tokens = tab.page.locator(".message .tok")
        tokens.nth(20).wait_for()
        assert page.turns.active > 0
        tab.page.get_by_role("button", name="Stop").click()
        tab.page.get_by_text("Stopped.").wait_for()
        wait_for(lambda: page.turns.active == 0)
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
            assert page.turns.active > 0
        wait_for(lambda: page.turns.active == 0)


def test_a_model_of_few_words_offers_messages_that_it_knows(browser, solution, tmp_path) -> None:
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


def test_a_model_without_roles_says_what_would_teach_it(browser, solution, tmp_path) -> None:
    models = Models(str(small_run(solution, tmp_path / "plain")))
    with served_page(models) as (address, _), Tab(browser, address) as tab:
        tab.open("chat")
        said = tab.page.locator("#no-roles").inner_text()
        assert "gpt2-small prepare" in said
        assert "gpt2-small train" in said


def test_the_grammar_stands_beside_a_model_of_the_stories(browser, solution, tmp_path) -> None:
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


WRONG = ("triu(diagonal=1)", "triu(diagonal=2)")


@pytest.fixture
def mine(tmp_path) -> Path:
    """A learner's file with a wrong mask."""
    file = tmp_path / "my_gpt2.py"
    file.write_text(binding.reference_path().read_text().replace(*WRONG))
    return file


def test_a_wrong_mask_shows_is_named_and_goes_when_the_file_is_mended(
    browser, run, mine, monkeypatch
) -> None:
    models = Models(str(run), solution=binding.load(mine))
    learner = Learner(mine, "my_gpt2.py")
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
        mine.write_text(mine.read_text().replace(*reversed(WRONG)))
        tab.page.locator("#parts li.passed").get_by_text("MultiHeadAttention").wait_for(
            timeout=300_000
        )
        tab.open("look")
        tab.page.locator(".head").first.wait_for()
        tab.page.locator("#looks-ahead").wait_for(state="detached")
        tab.page.locator(".head:not(.odd)").nth(5).wait_for()


def test_a_half_written_file_is_followed_and_the_reference_shown_instead(
    browser, run, tmp_path
) -> None:
    file = tmp_path / "my_gpt2.py"
    text = binding.reference_path().read_text()
    body = "self.config = config\n        self.embed = Embedding(config)"
    assert text.count(body) == 1
    file.write_text(text.replace(body, "raise NotImplementedError"))
    models = Models(str(run), solution=binding.load(file))
    assert "line" in models.problem
    learner = Learner(file, "my_gpt2.py")
    with served_page(models, learner) as (address, _), Tab(browser, address) as tab:
        tab.page.get_by_text("shown instead: the reference").wait_for()
        tab.write(TEXT, 3)
        assert tab.tokens().count() == len(TEXT) + 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_every_view_fits_its_window(browser, served, width: int, scheme: str) -> None:
    context = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with Tab(browser, served[0], **context) as tab:
        tab.write(TEXT, 5)
        tab.tokens().nth(3).click()
        for view in VIEWS:
            tab.open(view)
            tab.page.locator("main .card").first.wait_for()
            if view == "look":
                tab.page.locator("#head-1-2 .effect").filter(has_text=re.compile(r"\d")).wait_for()
            wide = tab.page.evaluate("() => document.documentElement.scrollWidth")
            assert wide <= width, view


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_on_every_shade(browser, served, scheme: str) -> None:
    with Tab(browser, served[0], color_scheme=scheme) as tab:
        colours = tab.page.evaluate(COLOURS)
        for shade in ("card", "s1", "s2", "s3", "s4", "s5", "soft", "d-worse-3", "d-better-3"):
            assert contrast(colours["ink"], colours[shade]) >= 4.5, shade
        for name in ("muted", "accent", "bad", "good"):
            assert contrast(colours[name], colours["card"]) >= 4.5, name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_shades_differ_in_lightness_for_eyes_that_see_no_hue(browser, served, scheme) -> None:
    with Tab(browser, served[0], color_scheme=scheme) as tab:
        colours = tab.page.evaluate(COLOURS)
        scale = [luminance(colours[name]) for name in ("card", "s1", "s2", "s3", "s4", "s5")]
        assert scale in (sorted(scale), sorted(scale, reverse=True))
        steps = [abs(math.log(b + 0.05) - math.log(a + 0.05)) for a, b in pairwise(scale)]
        assert min(steps) > 0.08


COLOURS = """() => {
  const box = document.createElement("i");
  document.body.append(box);
  const found = {};
  for (const name of ["ink", "muted", "accent", "bad", "good", "card", "soft", "s1", "s2", "s3",
                      "s4", "s5", "d-worse-3", "d-better-3"]) {
    box.style.color = `var(--${name})`;
    found[name] = getComputedStyle(box).color.match(/[0-9.]+/g).slice(0, 3).map(Number);
  }
  box.remove();
  return found;
}"""


def luminance(colour: list[float]) -> float:
    linear = [c / 3294.6 if c <= 10.3 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: list[float], other: list[float]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_everything_that_can_be_used_has_a_name(tab) -> None:
    tab.write(TEXT, 4)
    tab.tokens().nth(3).click()
    tab.page.locator("#candidates button").nth(9).wait_for()
    for view in VIEWS:
        tab.open(view)
        if view == "look":
            tab.page.locator("#head-1-2").wait_for()
        nameless = tab.page.evaluate(NAMELESS)
        assert nameless == [], view


NAMELESS = """() => [...document.querySelectorAll(
    "button, input, select, textarea, canvas[tabindex], [role=listbox], [role=img], a")]
  .filter((each) => each.checkVisibility())
  .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim()
    || each.labels?.length))
  .map((each) => each.outerHTML.slice(0, 120))"""


def test_the_theme_can_be_switched_and_is_kept(tab) -> None:
    theme = tab.page.locator("html")
    assert theme.get_attribute("data-theme") == "light"
    tab.page.locator("#theme").click()
    assert theme.get_attribute("data-theme") == "dark"
    tab.page.reload()
    tab.page.locator("#prompt").wait_for()
    assert theme.get_attribute("data-theme") == "dark"


@pytest.mark.parametrize(
    ("view", "card", "kind"),
    [
        ("continue", "What else could have come", "svg"),
        ("look", "Attention heads", "png"),
        ("look", "One head", "png"),
        ("look", "What each layer would say", "svg"),
        ("look", "Length of the residual stream", "svg"),
        ("learn", "Loss of", "svg"),
    ],
)
def test_every_picture_can_be_saved(tab, view: str, card: str, kind: str) -> None:
    tab.write(TEXT, 4)
    tab.tokens().nth(3).click()
    tab.page.locator("#candidates button").nth(9).wait_for()
    tab.open(view)
    if view == "look":
        look_at(tab)
    if kind == "png":
        tab.page.get_by_role("region", name=card).locator("canvas").last.wait_for()
    if view == "learn":
        tab.page.locator("svg.chart polyline").first.wait_for()
    with tab.page.expect_download() as download:
        tab.page.get_by_role("region", name=card).get_by_role(
            "button", name=f"Save {kind.upper()}"
        ).click()
    content = download.value.path().read_bytes()
    assert download.value.suggested_filename.endswith(kind)
    if kind == "png":
        assert content.startswith(b"\x89PNG")
        assert len(content) > 1000
    else:
        assert content.startswith(b"<svg")
        assert b"var(" not in content
        assert b"xmlns" in content
