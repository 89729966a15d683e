"""Print what the commands show."""
