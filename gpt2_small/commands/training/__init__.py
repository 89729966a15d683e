"""Define the commands prepare, train and plan."""
