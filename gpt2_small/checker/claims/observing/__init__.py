"""Observe a part in the file's process: draw inputs, run it, encode its outputs."""
