"""Define the built-in layouts: how other parameters become the contract's, and back."""
