"""Test reloads, restarts, two pages, and a closed page in a browser."""

import threading

import pytest
import uvicorn
from app_pages import TEXT
from browsing import KEY, Tab, wait_for

from gpt2_small.app.models import Models
from gpt2_small.app.page.page import Page
from gpt2_small.app.serving.guard import Guard
from gpt2_small.app.serving.http_server import address_of, listening_socket

pytestmark = pytest.mark.browser


def test_leaving_the_page_stops_generation(browser, served) -> None:
    with Tab(browser, served[0]) as tab:
        tab.set_option("max_new_tokens", "4096")
        tab.page.locator("#go").click()
        tab.tokens().nth(20).wait_for()
        assert served[1].thread.active > 0
    wait_for(lambda: served[1].thread.active == 0)


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


def test_a_reload_during_generation_keeps_the_text_so_far(tab) -> None:
    tab.set_option("max_new_tokens", "4096")
    tab.page.locator("#prompt").fill(TEXT)
    tab.page.locator("#go").click()
    tab.tokens().nth(len(TEXT) + 20).wait_for()
    tab.page.reload()
    tab.tokens().nth(len(TEXT) + 20).wait_for()
    tab.page.locator("#more:not(:disabled)").click()
    tab.tokens().nth(len(TEXT) + 25).wait_for()


def test_a_view_chosen_while_the_page_loads_is_opened(tab) -> None:
    held: list = []
    tab.page.route("**/api/state", lambda route: held.append(route))
    tab.page.reload()
    wait_for(lambda: tab.page.title() and held)
    tab.open("look")
    tab.page.get_by_role("tab", name="Look inside", selected=True).wait_for()
    held[0].continue_()
    tab.page.unroute_all()
    tab.page.locator("#head-1-0").wait_for()


def test_a_request_that_a_busy_server_refused_is_retried(tab) -> None:
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


def test_two_pages_generate_their_own_texts_at_the_same_time(browser, served) -> None:
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


def test_an_open_page_reconnects_to_a_restarted_server(browser, run) -> None:
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
            page.thread.close()

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
