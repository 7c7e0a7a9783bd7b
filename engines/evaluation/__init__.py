"""Measuring a host: numbers, one suite a task over any `Host`, speed rows, and the table of them all."""
