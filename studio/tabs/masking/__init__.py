"""Masking: what a second modality is worth to the model."""
