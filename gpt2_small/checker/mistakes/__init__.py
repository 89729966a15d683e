"""Known mistakes as edits of the reference, and how a wrong file is matched with them."""
