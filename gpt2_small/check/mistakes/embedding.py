"""What goes wrong in this part."""

from gpt2_small.check.mistake import Mistake

MISTAKES: list[Mistake] = []
