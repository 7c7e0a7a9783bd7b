"""The shared fusion model: towers for each modality, operators that fuse them, one decoder, its checkpoint files."""
