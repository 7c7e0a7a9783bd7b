"""Clips composed of what is on a shelf: a plan's camera over the tokens of photos, its tracks out of sounds."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engines.model.fusion import FRAME_SIDE
from engines.training.clips import ClipPlan
from engines.training.shelf import Sounding


def crops(clip: ClipPlan, n_frames: int, side: int) -> tuple[list[int], Tensor]:
    """The plan's camera over the tokens of photos: which photo each frame shows, and the weights (F, 4, side * side)
    of its tokens in the 2 x 2 that the frame is pooled to. A crop of a picture is one of its tokens, bilinearly.
    """
    shown, boxes = [], []
    for time_s in clip.frame_times_s(n_frames):
        scene = clip.scene(time_s)
        shown.append(scene.photo)
        boxes.append(scene.box(time_s))
    left, top, right, bottom = torch.tensor(boxes).T
    across, down = _axis(left, right, side), _axis(top, bottom, side)  # (F, 2, side) each
    both = down[:, :, None, :, None] * across[:, None, :, None, :]  # (F, 2, 2, side, side)
    return shown, both.flatten(3).flatten(1, 2)


def _axis(start: Tensor, end: Tensor, side: int) -> Tensor:
    """Weights (F, 2, side) of tokens along one axis in the two halves of what is in view, start to end of 0..1."""
    steps = (torch.arange(side) + 0.5) / side
    at = ((start[:, None] + (end - start)[:, None] * steps) * side - 0.5).clamp(0, side - 1)  # (F, side)
    near = (1.0 - (at[..., None] - torch.arange(side)).abs()).clamp(min=0.0)  # (F, side, side)
    return near.unflatten(1, (FRAME_SIDE, -1)).mean(2)


def framed(tokens: Tensor, shown: Tensor, crop: Tensor) -> Tensor:
    """Photos' tokens (P, N, D) as the frames of clips: shown (B, F) photos, crop (B, F, 4, N) -> (B, F * 4, D)."""
    flat, weights = shown.flatten(), crop.flatten(0, 1).to(tokens.dtype)
    own = [(flat == photo).nonzero()[:, 0] for photo in range(len(tokens))]
    seen = [
        (weights[rows].flatten(0, 1) @ photo).unflatten(0, (-1, FRAME_SIDE**2))
        for rows, photo in zip(own, tokens, strict=True)
    ]
    return torch.cat(seen)[torch.cat(own).argsort()].unflatten(0, shown.shape).flatten(1, 2)


def track(clip: ClipPlan, rows: Sequence[tuple[Sounding, int]]) -> Tensor:
    """The plan's sounds one after another: (n, ...), zeros where there is nothing to hear."""
    hz, like = rows[0][0].hz, rows[0][0].played(rows[0][1], 1.0)
    n = max(1, round(clip.duration_s * hz))
    out = like.new_zeros(n, *like.shape[1:])
    for part in clip.tracks:
        store, i = rows[part.sound]
        row = store.played(i, part.gain)
        start, end = round(part.start_s * hz), min(n, round(part.end_s * hz))
        if end > start:
            out[start:end] = row[torch.arange(end - start) % len(row)]
    return out
