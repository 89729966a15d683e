"""Run a decoding step in C on a CPU, compiled at first use and cached."""
