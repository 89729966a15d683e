"""Serve a model in the form of OpenAI's HTTP interface."""
