"""Determine the settings of a run from presets, flags and, for a resumed run, its config."""
