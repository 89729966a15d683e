"""Build GPT-2s from weights, compute them fast, decode with a cache, and hook activations."""
