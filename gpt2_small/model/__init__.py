"""The model's surroundings: presets, activations by name, weights."""
