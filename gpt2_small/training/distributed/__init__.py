"""Train with several processes: start, exchange, compare, and report lost ones."""

from gpt2_small.training.distributed.processes import Processes, joined_processes

__all__ = ["Processes", "joined_processes"]
