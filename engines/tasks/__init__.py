"""One file per task: a generator of results over `MediaEncoder`, read top to bottom; each `next` is one small step."""
