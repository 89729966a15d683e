"""Run a file that is not trusted in processes of its own, with limits."""
