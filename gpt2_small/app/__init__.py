"""The page and the HTTP interface to a model."""
