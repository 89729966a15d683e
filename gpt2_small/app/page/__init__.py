"""Answer the page's questions."""
