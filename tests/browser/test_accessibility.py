"""Test in a browser: keyboard use, window widths, contrast, accessible names, saved pictures."""

import math
import re
from itertools import pairwise

import pytest
from app_pages import TEXT
from browsing import Tab, look_at, wait_for

pytestmark = pytest.mark.browser


VIEWS = ("continue", "look", "compare", "learn", "chat")


def test_text_can_be_generated_selected_and_branched_by_keyboard(tab) -> None:
    press = tab.page.keyboard.press
    tab.set_option("max_new_tokens", "6")
    tab.page.locator("#prompt").focus()
    press("Control+A")
    tab.page.keyboard.type(TEXT)
    press("Control+Enter")
    tab.wait_until_written()
    text = tab.page.get_by_role("listbox", name="The text, token by token")
    text.focus()
    press("End")
    press("ArrowLeft")
    chosen = text.locator('[aria-selected="true"]')
    assert chosen.get_attribute("data-index") == str(len(TEXT) + 4)
    tab.page.locator("#candidates button").nth(9).wait_for()
    for _ in range(30):
        press("Tab")
        if tab.page.evaluate("() => document.activeElement.closest('#candidates') !== null"):
            break
    press("Tab")
    press("Enter")
    tab.wait_until_written()
    tab.page.locator("#tab-continue").focus()
    press("ArrowRight")
    tab.page.get_by_role("tab", name="Look inside", selected=True).wait_for()
    tab.page.locator("#head-1-0").wait_for()
    tab.page.locator("#head-1-0").focus()
    press("Enter")
    tab.page.locator("#one-head").get_by_text("Layer 1, head 0").wait_for()
    tab.page.get_by_label("Attention of layer 1, head 0").focus()
    press("ArrowUp")
    assert "attends to" in tab.page.get_by_role("tooltip").inner_text()


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
def test_the_shades_differ_in_lightness_for_colour_blind_users(browser, served, scheme) -> None:
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


def test_every_control_has_an_accessible_name(tab) -> None:
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


def test_the_theme_can_be_switched_and_survives_a_reload(tab) -> None:
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


def test_a_picture_can_be_saved_only_after_it_is_drawn(tab) -> None:
    held: list = []
    tab.page.route("**/api/lens", lambda route: held.append(route))
    tab.open("look")
    save = tab.page.get_by_role("region", name="What each layer would say").get_by_role(
        "button", name="Save SVG"
    )
    wait_for(lambda: tab.page.title() and held)
    assert save.is_disabled()
    tab.page.unroute_all()
    tab.page.locator("#lens table").wait_for()
    assert save.is_enabled()


def test_the_skip_link_moves_the_focus_and_keeps_the_view(tab) -> None:
    tab.open("look")
    skip = tab.page.get_by_text("Skip to the content")
    skip.focus()
    tab.page.keyboard.press("Enter")
    wait_for(lambda: tab.page.evaluate("() => document.activeElement.id") == "view")
    assert tab.page.locator("#tab-look").get_attribute("aria-selected") == "true"


def test_the_theme_can_be_switched_in_a_view_after_looking_inside(tab) -> None:
    look_at(tab)
    colour = """() => {
        const context = document.querySelector(".head canvas").getContext("2d");
        return context.getImageData(0, 0, 9, 9).data.join();
    }"""
    before = tab.page.evaluate(colour)
    tab.open("compare")
    tab.page.locator("#theme").click()
    tab.open("look")
    tab.page.locator("#head-0-0").wait_for()
    assert tab.page.evaluate(colour) != before
