"""Training: data, composed clips, losses, recipes and the loop."""
