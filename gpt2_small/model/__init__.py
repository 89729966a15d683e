"""The fast twin, its decoding with a cache, hooks, presets, and building a model from weights."""
