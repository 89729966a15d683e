"""Prepare texts and data sets as shards of tokens, and read them in batches."""
