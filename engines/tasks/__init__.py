"""One file a task: a generator of results over `Senses`, read top to bottom. Each `next` is one small step of work."""
