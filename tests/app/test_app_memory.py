"""Test that memory stays flat over ten interleaved conversations, some of them abandoned."""

import gc
import json
import os
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest
from app_pages import TEXT, running, small_run
from forked import wait_until

from gpt2_small.app.decoder_cache import MOST_IDLE
from gpt2_small.app.models import Models
from gpt2_small.app.page.page import Page

CONVERSATIONS = 10
MEGABYTE = 1 << 20
MINUTES = float(os.environ.get("GPT2_SMALL_SOAK_MINUTES", "2"))


@pytest.fixture
def page(solution, tmp_path):
    models = Models(str(small_run(solution, tmp_path / "run", tokenizer_name="byte-chat")))
    page = Page(models, None)
    with running(page.application()) as address:
        yield urlsplit(address).netloc, page
        page.close()
    assert page.thread.close()


@contextmanager
def answer(host: str, path: str, asked: dict):
    """Request an answer; the rest is abandoned when the context ends."""
    connection = HTTPConnection(host, timeout=60)
    try:
        connection.request(
            "POST", f"/api/{path}", json.dumps(asked), {"Content-Type": "application/json"}
        )
        yield connection.getresponse()
    finally:
        connection.close()


def one_round(host: str, number: int) -> None:
    """Continue every conversation by a few tokens; ablate, chat, or abandon some."""
    for name in range(CONVERSATIONS):
        asked = {"text": f"{TEXT} {name}"[:30], "max_new_tokens": 6, "seed": number}
        asked["conversation"] = f"tab {name}"
        with answer(host, "continue", asked) as whole:
            assert len(whole.read().splitlines()) >= 2
        if name % 5 == 0:
            with answer(host, "continue", asked | {"max_new_tokens": 4000}) as left:
                assert left.readline()
            with answer(host, "look", {"text": f"{TEXT}{number % 7}"}) as look:
                assert look.read()
            messages = [{"role": "user", "content": "Hi"}]
            with answer(host, "chat", asked | {"messages": messages}) as reply:
                assert reply.read()
            with answer(host, "look", {"ids": []}) as refused:
                assert refused.status == 400


def resident() -> int:
    """Return this process's resident memory in bytes."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
def test_interleaved_conversations_leak_no_memory(page) -> None:
    host, made = page
    one_round(host, 0)
    before = resident()
    for number in range(1, 3):
        one_round(host, number)
    assert resident() - before < 20 * MEGABYTE
    wait_until(lambda: made.thread.active == 0)
    assert len(made.decoders) <= MOST_IDLE


@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES + 600)
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
def test_memory_stays_flat_for_minutes(page) -> None:
    """$GPT2_SMALL_SOAK_MINUTES says for how many."""
    host, made = page
    ends = time.monotonic() + 60 * MINUTES
    for number in range(10):
        one_round(host, number)
    before, number = resident(), 10
    while time.monotonic() < ends:
        one_round(host, number)
        number += 1
    grown = resident() - before
    print(f"{number} rounds of {CONVERSATIONS} conversations: {grown / MEGABYTE:+.1f} MiB")
    assert grown < 30 * MEGABYTE
    wait_until(lambda: made.thread.active == 0)
