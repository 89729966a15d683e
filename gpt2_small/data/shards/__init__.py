"""Write, open and read shards: files of token ids, read as one sequence."""

from gpt2_small.data.shards.opened_shards import Shards, holds_shards, open_shards

__all__ = ["Shards", "holds_shards", "open_shards"]
