"""Define the commands for a learner's file: start, check, watch, hint, show, grade, variant."""
