"""Evaluate models on texts, multiple choice, and the tasks of lm-evaluation-harness."""
