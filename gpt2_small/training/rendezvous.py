"""Where processes meet that torchrun has started again: not where those before them met."""

import time
import uuid
from datetime import timedelta

from torch.distributed import DistStoreError
from torch.distributed.distributed_c10d import PrefixStore, Store

POLL_SECONDS = 0.01


def meeting_place(store: Store, rank: int, world_size: int, patience: timedelta) -> Store:
    """A part of a store that these processes share, and that none before them has written to.

    torchrun gives the processes that it starts again the store of those before, where they would
    find the addresses of the dead. So each asks under a number that nobody had, and the first
    process answers with a new name until all have come.

    Raises DistStoreError when another process does not ask or answer in time.
    """
    store = PrefixStore("meeting", store)
    if rank > 0:
        number = store.add("asked", 1)
        name = store.get(f"answer/{number}").decode()
        store.add(f"{name}/came", 1)
        return PrefixStore(name, store)
    name = uuid.uuid4().hex
    end = time.monotonic() + patience.total_seconds()
    answered = 0
    while store.add(f"{name}/came", 0) < world_size - 1:
        asked = store.add("asked", 0)
        for number in range(answered + 1, asked + 1):
            store.set(f"answer/{number}", name)
        answered = asked
        if time.monotonic() > end:
            raise DistStoreError(f"wait timeout after {patience.total_seconds():g} seconds")
        time.sleep(POLL_SECONDS)
    return PrefixStore(name, store)
