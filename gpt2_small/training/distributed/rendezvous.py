"""Create a new rendezvous for processes that torchrun has restarted."""

import time
import uuid
from datetime import timedelta

from torch.distributed import DistStoreError
from torch.distributed.distributed_c10d import PrefixStore, Store

POLL_SECONDS = 0.01


def rendezvous_store(store: Store, rank: int, world_size: int, limit: timedelta) -> Store:
    """A new prefix of a store, which these processes share.

    torchrun passes the old store on to restarted processes, with the addresses of processes that
    have exited. So each process registers under its own number, and rank 0 replies with a new
    prefix until all have joined.

    Raises DistStoreError when another process does not join in time.
    """
    store = PrefixStore("rendezvous", store)
    if rank > 0:
        number = store.add("asked", 1)
        name = store.get(f"answer/{number}").decode()
        store.add(f"{name}/came", 1)
        return PrefixStore(name, store)
    name = uuid.uuid4().hex
    end = time.monotonic() + limit.total_seconds()
    answered = 0
    while store.add(f"{name}/came", 0) < world_size - 1:
        asked = store.add("asked", 0)
        for number in range(answered + 1, asked + 1):
            store.set(f"answer/{number}", name)
        answered = asked
        if time.monotonic() > end:
            raise DistStoreError(f"wait timeout after {limit.total_seconds():g} seconds")
        time.sleep(POLL_SECONDS)
    return PrefixStore(name, store)
