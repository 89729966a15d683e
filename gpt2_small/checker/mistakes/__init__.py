"""Define known mistakes as edits of the reference, and match wrong files with them."""
