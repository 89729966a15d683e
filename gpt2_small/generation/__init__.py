"""Text from a model."""

from gpt2_small.generation.many import sample_many

__all__ = ["sample_many"]
