"""The towers' part of a training step: what a batch holds as media becomes the features that the cache would hold."""

from __future__ import annotations

import torch
from torch import Tensor

from engines.model.features import log_mel
from engines.model.fusion import FusionModel
from engines.training import augment


def run_towers(model: FusionModel, batch: dict[str, Tensor], *, vary: bool = True) -> dict[str, Tensor]:
    """Replace the media in a batch by features; features from the cache stay as they are.

    `pixels` (B, 3, H, W) uint8 -> `maps` (B, N, C). `samples` (B, n) int16 with `samples_mask` of their mel frames ->
    `last` (B, T, D) and `layers` (B, T', n_layers, D) with masks. vary: augment photos in training.
    """
    features = dict(batch)
    if "pixels" in features:
        pixels = features.pop("pixels")
        photos = augment.vary_photos(pixels) if vary and model.training else augment.scaled(pixels)
        features["maps"] = model.picture.trunk(photos.to(model.dtype)).flatten(2).transpose(1, 2)
    if "samples" in features:
        samples, mask = features.pop("samples"), features.pop("samples_mask")
        with torch.autocast(samples.device.type, enabled=False):
            mel = log_mel(samples.float() / 32768.0)
        n_frames = mask.sum(1)
        if model.training:
            mel = augment.hide_stripes(mel, n_frames)
        last, last_mask, layers, layers_mask = model.layers(mel, n_frames.clamp(min=1))
        audible = (n_frames > 0)[:, None]
        features |= {"last": last, "last_mask": last_mask & audible}
        features |= {"layers": layers, "layers_mask": layers_mask & audible}
    return features
