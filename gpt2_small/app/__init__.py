"""Serve a model: the page in the browser, and OpenAI's HTTP interface."""
