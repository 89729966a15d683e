"""`python -m gpt2_small`."""

from gpt2_small.cli import main

main()
