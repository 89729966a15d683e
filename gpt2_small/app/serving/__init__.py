"""Serve HTTP: the guard, its key, requests' fields, answers, turns of the model's thread."""
