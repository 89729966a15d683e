"""Draw, tokenize, measure and judge dialogues about stories."""
