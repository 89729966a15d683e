"""Serve a model by OpenAI's HTTP interface."""
