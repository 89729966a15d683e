"""Skeleton, hints, screens and the watcher: what a learner sees."""
