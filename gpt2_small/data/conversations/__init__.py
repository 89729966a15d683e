"""Conversations: read them, render them with their targets, and keep them in a folder."""
