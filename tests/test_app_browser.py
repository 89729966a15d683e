"""The page in a browser: writing, branches, stop, reload, restart, two pages, hostile text."""

import json
import re
import threading

import pytest
import uvicorn
from app_pages import TEXT, small_run
from browsing import KEY, Tab, chromium, served_page, wait_for

from gpt2_small import binding
from gpt2_small.app.models import Models
from gpt2_small.app.page.page import Page
from gpt2_small.app.serving.guard import Guard
from gpt2_small.app.serving.server import address_of, listening_socket
from gpt2_small.commands import sample_output
from gpt2_small.generation import SamplingOptions, Stream, open_model

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def run(solution, tmp_path_factory):
    # It writes on until it is stopped.
    return small_run(solution, tmp_path_factory.mktemp("run") / "small", tied_embeddings=False)


@pytest.fixture(scope="module")
def served(run):
    with served_page(Models(str(run))) as found:
        yield found


@pytest.fixture
def tab(browser, served):
    with Tab(browser, served[0]) as found:
        yield found


def test_a_text_is_written_token_by_token_and_shaded(tab) -> None:
    tab.write(TEXT, 20)
    assert tab.tokens().count() == len(TEXT) + 20
    assert tab.page.locator(".tok .s5, .tok .s4, .tok .s3").count() > 0
    assert "20 tokens" in tab.page.get_by_role("status").filter(has_text="Wrote").inner_text()


def test_what_the_pointer_tells_of_a_token_is_what_the_model_says(tab, run) -> None:
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


def test_choosing_a_candidate_branches_and_the_tree_leads_back(tab) -> None:
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


def test_a_candidate_of_the_prompt_branches_there_and_nothing_is_lost(tab) -> None:
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


def test_the_same_prompt_once_more_is_another_branch(tab) -> None:
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


def test_candidates_stand_before_and_after_temperature_and_cuts(tab) -> None:
    tab.set_option("top_k", "2")
    tab.write(TEXT, 5)
    tab.tokens().nth(len(TEXT) + 2).click()
    tab.page.get_by_text("after temperature and cuts (2 left)").wait_for()
    assert tab.page.locator("#candidates .bar.cut").count() == 8
    said = tab.page.locator("#candidates .bar").first.get_attribute("aria-label")
    before, after = (float(share) for share in re.findall(r"([0-9.]+) %", said))
    assert after > before


def test_a_candidate_keeps_the_focus_when_its_numbers_come(tab) -> None:
    tab.write(TEXT, 5)
    held: list = []
    tab.page.route("**/api/next", lambda route: held.append(route))
    tab.tokens().nth(len(TEXT) + 2).click()
    button = tab.page.locator("#candidates button").nth(1)
    button.focus()
    wait_for(lambda: tab.page.title() and held)
    with tab.page.expect_response("**/api/next"):
        held[0].continue_()
    tab.page.unroute_all()
    assert button.evaluate("button => button === document.activeElement")


def test_writing_on_adds_to_the_text(tab) -> None:
    tab.write(TEXT, 5)
    tab.page.locator("#more").click()
    tab.wait_until_written()
    assert tab.tokens().count() == len(TEXT) + 10


def test_stop_ends_the_writing_and_keeps_what_was_written(tab, served) -> None:
    tab.set_option("max_new_tokens", "4096")
    tab.page.locator("#prompt").fill(TEXT)
    tab.page.locator("#go").click()
    tab.tokens().nth(len(TEXT) + 5).wait_for()
    tab.page.locator("#stop").click()
    tab.wait_until_written()
    assert "Stopped after" in tab.page.locator(".actions [role=status]").inner_text()
    assert tab.tokens().count() > len(TEXT) + 5
    wait_for(lambda: served[1].turns.active == 0)


def test_leaving_the_page_ends_the_writing(browser, served) -> None:
    with Tab(browser, served[0]) as tab:
        tab.set_option("max_new_tokens", "4096")
        tab.page.locator("#go").click()
        tab.tokens().nth(20).wait_for()
        assert served[1].turns.active > 0
    wait_for(lambda: served[1].turns.active == 0)


def test_a_reload_keeps_the_text_its_branches_and_the_options(tab) -> None:
    tab.set_option("temperature", "0.7")
    tab.write(TEXT, 9)
    tab.tokens().nth(len(TEXT) + 2).click()
    tab.page.locator("#candidates button:not(.taken)").first.click()
    tab.wait_until_written()
    assert tab.tokens().count() == len(TEXT) + 3 + 9
    before = tab.page.locator(".tokens").first.inner_text()
    tab.page.reload()
    tab.tokens().nth(len(TEXT)).wait_for()
    assert tab.page.locator(".tree ul button").count() == 2
    assert tab.page.locator("#option-temperature").input_value() == "0.7"
    assert tab.page.locator(".tokens").first.inner_text() == before


def test_a_reload_while_it_writes_keeps_what_was_written(tab) -> None:
    tab.set_option("max_new_tokens", "4096")
    tab.page.locator("#prompt").fill(TEXT)
    tab.page.locator("#go").click()
    tab.tokens().nth(len(TEXT) + 20).wait_for()
    tab.page.reload()
    tab.tokens().nth(len(TEXT) + 20).wait_for()
    tab.page.locator("#more:not(:disabled)").click()
    tab.tokens().nth(len(TEXT) + 25).wait_for()


def test_a_chosen_candidate_counts_as_writing_before_the_server_answers(tab) -> None:
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


def test_a_tab_that_is_chosen_while_the_page_loads_is_opened(tab) -> None:
    held: list = []
    tab.page.route("**/api/state", lambda route: held.append(route))
    tab.page.reload()
    wait_for(lambda: tab.page.title() and held)
    tab.open("look")
    tab.page.get_by_role("tab", name="Look inside", selected=True).wait_for()
    held[0].continue_()
    tab.page.unroute_all()
    tab.page.locator("#head-1-0").wait_for()


def test_a_server_that_is_too_busy_at_first_is_asked_again(tab) -> None:
    answers = iter([429])

    def refuse_once(route) -> None:
        status = next(answers, None)
        if status is None:
            route.continue_()
        else:
            route.fulfill(status=status, json={"error": {"message": "16 requests are at work"}})

    tab.page.route("**/api/state", refuse_once)
    tab.page.reload()
    tab.page.get_by_text("16 requests are at work; trying again").wait_for()
    tab.write(TEXT, 3)
    assert tab.tokens().count() == len(TEXT) + 3
    tab.problems = [each for each in tab.problems if "429" not in each]


def test_two_pages_write_at_the_same_time_each_its_own_text(browser, served) -> None:
    with Tab(browser, served[0]) as one, Tab(browser, served[0]) as other:
        for tab, prompt in ((one, "One"), (other, "Other")):
            tab.set_option("max_new_tokens", "60")
            tab.set_option("seed", "3")
            tab.page.locator("#prompt").fill(prompt)
        one.page.locator("#go").click()
        other.page.locator("#go").click()
        one.wait_until_written()
        other.wait_until_written()
        assert one.tokens().count() == 3 + 60
        assert other.tokens().count() == 5 + 60


def test_an_open_page_finds_a_restarted_server(browser, run) -> None:
    listener = listening_socket("127.0.0.1", 0)
    port = listener.getsockname()[1]

    def start(listener):
        page = Page(Models(str(run)), None)
        config = uvicorn.Config(
            Guard(page.application(), token=KEY),
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()

        def end():
            page.close()
            server.should_exit = True
            thread.join()
            page.turns.close()

        return end

    end = start(listener)
    with Tab(browser, f"{address_of(listener)}/{KEY}/") as tab:
        tab.write(TEXT, 6)
        end()
        tab.page.locator("#go").click()
        tab.page.get_by_role("alert").wait_for()
        end = start(listening_socket("127.0.0.1", port))
        tab.page.get_by_role("alert").wait_for(state="hidden")
        tab.write(TEXT, 7)
        assert tab.tokens().count() == len(TEXT) + 7
        tab.problems = [each for each in tab.problems if "ERR_CONNECTION_REFUSED" not in each]
    end()


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
def test_hostile_text_is_only_ever_text(tab, text: str) -> None:
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


def test_a_text_of_a_hundred_thousand_characters_is_answered(tab) -> None:
    tab.set_option("max_new_tokens", "2")
    tab.page.locator("#prompt").evaluate("prompt => { prompt.value = 'x'.repeat(100000) }")
    tab.page.locator("#go").click()
    tab.page.get_by_text("give at most").wait_for()
    tab.problems = [each for each in tab.problems if "400" not in each]


def test_the_saved_file_is_the_one_that_sample_writes(tab, run, tmp_path) -> None:
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


def test_a_file_that_sample_wrote_can_be_opened(tab, run, tmp_path) -> None:
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
def test_a_damaged_file_is_refused_and_the_text_kept(tab, tmp_path, content, sentence) -> None:
    tab.write(TEXT, 4)
    before = tab.page.locator(".tokens").first.inner_text()
    (tmp_path / "sample.json").write_text(json.dumps(SAMPLE | content))
    tab.page.locator("#open-file").set_input_files(tmp_path / "sample.json")
    tab.page.get_by_text(sentence).wait_for()
    assert tab.page.locator(".tokens").first.inner_text() == before
    tab.problems = [each for each in tab.problems if "400" not in each]


def test_what_another_model_wrote_says_so_and_stays_text(tab, tmp_path) -> None:
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


def test_a_file_of_another_kind_is_refused_in_a_sentence(tab, tmp_path) -> None:
    (tmp_path / "other.json").write_text('{"format": "other/1"}')
    tab.page.locator("#open-file").set_input_files(tmp_path / "other.json")
    tab.page.get_by_text('this file\'s format is "other/1"').wait_for()


def test_what_the_server_refuses_is_shown_as_its_sentence(tab) -> None:
    tab.set_option("temperature", "-1")
    tab.page.locator("#go").click()
    tab.page.get_by_text("temperature is -1.0; give 0 (greedy)").wait_for()
    tab.problems = [each for each in tab.problems if "400" not in each]


def test_the_keyboard_alone_writes_chooses_and_branches(tab) -> None:
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
