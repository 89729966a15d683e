"""Open a browser and a page for the tests that need them."""

import asyncio
import os
import random
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from app_pages import TEXT, running
from starlette.types import ASGIApp, Receive, Scope, Send

from gpt2_small.app.models import Models
from gpt2_small.app.page.page import Page
from gpt2_small.app.serving.guard import Guard

KEY = "the-key-of-the-tests"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
# Milliseconds: a timeout for a busy machine. Tests wait for a state, never for a time.
PATIENCE = 60_000
# Slow-down factor of the browser's CPU: tests must pass on slow machines too.
SLOWDOWN = float(os.environ.get("GPT2_SMALL_BROWSER_SLOWDOWN", "1"))
# Longest random delay of a response, in seconds: tests must pass in any order of responses.
DELAY = float(os.environ.get("GPT2_SMALL_BROWSER_DELAY", "0"))


@contextmanager
def chromium() -> Iterator[Any]:
    """Start Debian's Chromium; skip the test without it or Playwright."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed; on Debian: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def served_page(models: Models, learner: Any = None) -> Iterator[tuple[str, Page]]:
    """Serve the page on a real socket, and yield the address and the page."""
    page = Page(models, learner)
    application: ASGIApp = page.application()
    if DELAY:
        application = delayed(application, DELAY)
    with running(Guard(application, token=KEY)) as address:
        try:
            yield f"{address}/{KEY}/", page
        finally:
            page.close()
    if learner is not None:
        learner.stop()
    assert page.thread.close()


def delayed(application: ASGIApp, seconds: float) -> ASGIApp:
    """Wrap an application: its responses begin up to `seconds` late."""
    drawn = random.Random(0)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if "/api/" in scope["path"]:
            await asyncio.sleep(drawn.random() * seconds)
        await application(scope, receive, send)

    return answer


class Tab:
    """A tab that records its requests and console messages.

    At the end its console must be empty, and all its requests must have gone to its own server.
    """

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        context = {"viewport": {"width": 1280, "height": 900}, **context}
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        if SLOWDOWN > 1:
            devtools = self.context.new_cdp_session(self.page)
            devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
        self.problems: list[str] = []
        self.address = address
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", self._see)
        self.page.goto(address)

    def _see(self, request: Any) -> None:
        if not request.url.startswith((self.address, "blob:")):
            self.problems.append(f"it asked {request.url}")

    def __enter__(self) -> "Tab":
        return self

    def __exit__(self, kind: type | None, *_: Any) -> None:
        self.context.close()
        if kind is None:
            assert not self.problems, self.problems

    def open(self, view: str) -> None:
        """Open a view by its tab."""
        self.page.locator(f"#tab-{view}").click()

    def write(self, prompt: str, tokens: int | None = None) -> None:
        """Let the model continue a prompt to its end, with seed 1 unless another is set."""
        if not self.page.locator("#option-seed").input_value():
            self.set_option("seed", "1")
        if tokens is not None:
            self.set_option("max_new_tokens", str(tokens))
        self.page.locator("#prompt").fill(prompt)
        self.page.locator("#go").click()
        self.wait_until_written()

    def set_option(self, name: str, value: str) -> None:
        """Set a sampling option."""
        if not self.page.locator("#option-seed").is_visible():
            self.page.get_by_text("Sampling options").click()
        field = self.page.locator(f"#option-{name}")
        field.fill(value)
        field.blur()

    def wait_until_written(self) -> None:
        """Wait for the end of generation."""
        self.page.locator("#stop:disabled").wait_for()
        self.page.locator("#more:not(:disabled)").wait_for()

    def tokens(self) -> Any:
        """Return the tokens of the text."""
        return self.page.locator(".tokens").first.locator(".tok")


def look_at(tab: Tab, text: str = TEXT) -> None:
    """Open the view Look inside on a text, and wait for every head's ablation."""
    tab.open("look")
    tab.page.locator("#look-text").fill(text)
    tab.page.locator("#look-text").press("Enter")
    tab.page.locator(".looking[aria-busy=false]").wait_for()
    tab.page.locator("#head-1-2 .effect").filter(has_text=re.compile(r"\d")).wait_for()


def wait_for(condition: Any, seconds: float = 60) -> None:
    """Wait until a condition outside the browser holds."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("the condition was not met in time")
