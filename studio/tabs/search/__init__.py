"""Search: hits, a map and a timeline of the samples, of uploaded files or of a folder."""
