"""Test hostile text, and saved and opened files, in a browser."""

import json

import pytest
from app_pages import TEXT

from gpt2_small import binding
from gpt2_small.commands.screens import sample_output
from gpt2_small.generation import SamplingOptions, Stream, open_model

pytestmark = pytest.mark.browser


HOSTILE = {
    "image": '<img src="http://example.org/x.png" onerror="alert(1)">',
    "markdown": "![x](http://example.org/x.png) [y](javascript:alert(1))",
    "script": "<script>document.title='taken'</script></textarea><script>1</script>",
    "address": "javascript:alert(document.domain)",
    "control": "a\x00b\x07c\x1b[31md\x7f\x85",
    "directions": "a\u202eb\u2066c\u200fd \u05d0\u05d1",
    "template": "{{7*7}} ${7*7} %s &lt;b&gt;",
    "lone_surrogate": "a\ud800b",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_shown_as_plain_text(tab, text: str) -> None:
    tab.page.locator("#prompt").evaluate("(prompt, text) => { prompt.value = text }", text)
    count = tab.page.locator("img, script, iframe, a[href^='javascript'], b").count()
    tab.set_option("max_new_tokens", "3")
    tab.page.locator("#go").click()
    tab.wait_until_written()
    assert tab.page.title() == "gpt2-small"
    tab.tokens().nth(1).locator(".word").click()
    assert tab.page.locator("img, script, iframe, a[href^='javascript'], b").count() == count
    for view in ("look", "compare"):
        if len(text.encode("utf-8", "surrogatepass")) < 35:
            tab.open(view)
            tab.page.locator("main .tok").nth(1).wait_for()
    shown = tab.page.locator("main").inner_text()
    assert not any(character in shown for character in "\x00\x07\x1b\x7f\u202e\u2066")


def test_every_token_is_wide_enough_to_be_pointed_at(tab) -> None:
    text = "a\u00adb\u200bc\u0301d\u034f\u2028e"
    tab.write(text, 1)
    assert tab.tokens().count() == len(text.encode()) + 1
    widths = tab.tokens().evaluate_all("all => all.map((tok) => tok.getBoundingClientRect().width)")
    assert min(widths) > 0


def test_a_text_of_a_hundred_thousand_characters_is_answered(tab) -> None:
    tab.set_option("max_new_tokens", "2")
    tab.page.locator("#prompt").evaluate("prompt => { prompt.value = 'x'.repeat(100000) }")
    tab.page.locator("#go").click()
    tab.page.get_by_text("give at most").wait_for()
    tab.problems = [each for each in tab.problems if "400" not in each]


def test_the_saved_file_equals_the_report_of_sample(tab, run, tmp_path) -> None:
    tab.set_option("seed", "11")
    tab.set_option("top_k", "50")
    tab.write(TEXT, 10)
    with tab.page.expect_download() as download:
        tab.page.locator("#save-json").click()
    found = json.loads(download.value.path().read_text(encoding="utf-8"))
    loaded = open_model(run)
    options = SamplingOptions(seed=11, top_k=50, max_new_tokens=10, candidates=10)
    stream = Stream(binding.bound(), loaded, [TEXT], options)
    list(stream)
    report = {"model": str(run), "device": "cpu", "dtype": "float32"}
    report |= sample_output.prompts_report([TEXT], stream.prompts)
    report |= sample_output.samples_report(stream, loaded)
    sample_output.write_report(tmp_path / "sample.json", report)
    expected = json.loads((tmp_path / "sample.json").read_text(encoding="utf-8"))
    assert found == expected


def test_a_report_of_sample_can_be_opened(tab, run, tmp_path) -> None:
    loaded = open_model(run)
    options = SamplingOptions(seed=2, max_new_tokens=6, num_samples=3, candidates=10)
    stream = Stream(binding.bound(), loaded, [TEXT], options)
    list(stream)
    report = sample_output.prompts_report([TEXT], stream.prompts)
    report |= sample_output.samples_report(stream, loaded)
    sample_output.write_report(tmp_path / "sample.json", report)
    tab.page.locator("#open-file").set_input_files(tmp_path / "sample.json")
    tab.page.locator(".tree button").nth(2).wait_for()
    assert tab.tokens().count() == len(TEXT) + 6


SAMPLE = {"format": "gpt2-small-sample/1", "prompt": "A", "prompt_tokens": [65], "model": "x"}


DAMAGED = {
    "no tokens": ({"samples": [{"prompt": 0}]}, "sample 1 of this file has no tokens"),
    "no id": ({"samples": [{"tokens": [{"text": "b"}]}]}, "token 1 of sample 1 of this file lacks"),
    "null": ({"samples": [None]}, "sample 1 of this file has no tokens"),
    "another tokenizer": (
        {"samples": [{"tokens": [{"id": 66, "text": "dog", "log_probability": -1.0}]}]},
        'token 66 is "dog" in this file and "B" here',
    ),
    "another vocabulary": (
        {"samples": [{"tokens": [{"id": 4000, "text": "B", "log_probability": -1.0}]}]},
        "4000",
    ),
}


@pytest.mark.parametrize(("content", "sentence"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_and_the_text_remains(tab, tmp_path, content, sentence) -> None:
    tab.write(TEXT, 4)
    before = tab.page.locator(".tokens").first.inner_text()
    (tmp_path / "sample.json").write_text(json.dumps(SAMPLE | content))
    tab.page.locator("#open-file").set_input_files(tmp_path / "sample.json")
    tab.page.get_by_text(sentence).wait_for()
    assert tab.page.locator(".tokens").first.inner_text() == before
    tab.problems = [each for each in tab.problems if "400" not in each]


def test_a_report_of_another_model_opens_as_plain_text_with_a_note(tab, tmp_path) -> None:
    text = "<img src=x onerror=alert(1)>"
    tokens = [{"id": id, "text": chr(id), "log_probability": -1.0} for id in text.encode()]
    tokens[0]["candidates"] = [{"id": 1, "text": text, "log_probability": -0.5}]
    content = SAMPLE | {"samples": [{"tokens": tokens, "text": text}]}
    (tmp_path / "sample.json").write_text(json.dumps(content))
    tab.page.locator("#open-file").set_input_files(tmp_path / "sample.json")
    tab.page.get_by_text("Opened. Its probabilities are those of x.").wait_for()
    tab.tokens().nth(1).click()
    assert "36.8 %" in tab.page.get_by_role("tooltip").inner_text()
    assert tab.page.locator("img").count() == 0
    assert text in tab.page.locator(".tokens").first.inner_text()


def test_a_file_of_another_kind_is_refused_with_one_sentence(tab, tmp_path) -> None:
    (tmp_path / "other.json").write_text('{"format": "other/1"}')
    tab.page.locator("#open-file").set_input_files(tmp_path / "other.json")
    tab.page.get_by_text('this file\'s format is "other/1"').wait_for()
