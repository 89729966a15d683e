"""The subcommands of `gpt2-small`, one file each; what is heavy is imported when one is run."""
