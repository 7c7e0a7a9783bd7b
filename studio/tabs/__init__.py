"""One file or folder per tab, each with `create_ui` (its widgets) and `wire` (its events)."""
