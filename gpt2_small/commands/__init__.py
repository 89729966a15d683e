"""Define the subcommands of `gpt2-small`, one file each; heavy imports happen when one runs."""
