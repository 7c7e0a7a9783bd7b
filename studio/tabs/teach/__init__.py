"""Teach it: classes from a few examples."""
