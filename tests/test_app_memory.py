"""Twenty conversations in turn, some of them left in the middle: the server's memory stays flat."""

import gc
import os
import time

import pytest
from app_pages import TEXT, page_of, small_run

from gpt2_small.app.decoders import MOST_IDLE
from gpt2_small.app.models import Models

CONVERSATIONS = 20
MEGABYTE = 1 << 20
MINUTES = float(os.environ.get("GPT2_SMALL_SOAK_MINUTES", "2"))


@pytest.fixture
def page(solution, tmp_path):
    models = Models(str(small_run(solution, tmp_path / "run", tokenizer_name="byte-chat")))
    with page_of(models) as found:
        yield found


def one_round(client, number: int) -> None:
    """Every conversation goes on by a few tokens, looks inside, chats, or is refused."""
    for name in range(CONVERSATIONS):
        asked = {"text": f"{TEXT} {name}"[:30], "max_new_tokens": 6, "seed": number}
        asked["conversation"] = f"tab {name}"
        answer = client.post("/api/continue", json=asked)
        assert len(answer.text.splitlines()) >= 2
        if name % 5 == 0:
            client.post("/api/look", json={"text": f"{TEXT}{number % 7}"})
            messages = [{"role": "user", "content": "Hi"}]
            client.post("/api/chat", json=asked | {"messages": messages})
            assert client.post("/api/look", json={"ids": []}).status_code == 400


def resident() -> int:
    """Bytes that this process has in memory."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
def test_conversations_in_turn_leave_nothing_behind(page) -> None:
    client, made = page
    one_round(client, 0)
    before = resident()
    for number in range(1, 4):
        one_round(client, number)
    assert resident() - before < 20 * MEGABYTE
    assert made.turns.active == 0
    assert len(made.decoders) <= MOST_IDLE


@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES + 600)
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
def test_memory_stays_flat_for_minutes(page) -> None:
    """$GPT2_SMALL_SOAK_MINUTES says for how many."""
    client, made = page
    ends = time.monotonic() + 60 * MINUTES
    for number in range(10):
        one_round(client, number)
    before, number = resident(), 10
    while time.monotonic() < ends:
        one_round(client, number)
        number += 1
    grown = resident() - before
    print(f"{number} rounds of {CONVERSATIONS} conversations: {grown / MEGABYTE:+.1f} MiB")
    assert grown < 30 * MEGABYTE
    assert made.turns.active == 0
