"""Choose the settings of a run: recipe, presets, flags, and those of a resumed run."""
