"""One file per tab, each with `create_ui` (what is there) and `wire` (what happens)."""
