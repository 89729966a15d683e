"""Read and write files safely: atomic writes, hashes, locks, JSON, the cache folder, refusals."""
