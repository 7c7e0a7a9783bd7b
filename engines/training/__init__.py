"""Training: sources of media, batches, objectives, recipes and the loop."""
