"""Train with several processes: join them, exchange and compare values, report lost workers."""

from gpt2_small.training.distributed.collectives import Processes, joined_processes

__all__ = ["Processes", "joined_processes"]
