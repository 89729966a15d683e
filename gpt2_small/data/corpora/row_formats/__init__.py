"""Read the rows of Arrow, CSV, JSON and Parquet files."""
