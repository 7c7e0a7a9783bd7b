"""The shared fusion model: towers for each sense, operators that fuse them, one decoder, and its checkpoint files."""
