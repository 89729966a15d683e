"""Process a model's logits, and draw tokens from them."""
