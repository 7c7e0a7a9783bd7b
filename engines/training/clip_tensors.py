"""Render a ClipPlan from the tokens of photos and the rows of sounds instead of pixels and samples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from engines.model.fusion import FRAME_SIDE
from engines.training.clips import ClipPlan
from engines.training.sources import Sounds


def crops(clip: ClipPlan, n_frames: int, side: int) -> tuple[list[int], Tensor]:
    """The photo that each frame shows, and the weights (F, 4, side * side) of its tokens in the frame's 2 x 2.

    A crop of the picture is taken as a bilinear crop of its grid of tokens.
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
    """Weights (F, 2, side) of the tokens along one axis in the two halves of the view, start to end within 0..1."""
    steps = (torch.arange(side) + 0.5) / side
    at = ((start[:, None] + (end - start)[:, None] * steps) * side - 0.5).clamp(0, side - 1)  # (F, side)
    near = (1.0 - (at[..., None] - torch.arange(side)).abs()).clamp(min=0.0)  # (F, side, side)
    return near.unflatten(1, (FRAME_SIDE, -1)).mean(2)


def frame_tokens(tokens: Tensor, shown: Tensor, crop: Tensor) -> Tensor:
    """Tokens of photos (P, N, D), with `crops` of clips (B, F) and (B, F, 4, N) -> tokens of frames (B, F * 4, D)."""
    flat, weights = shown.flatten(), crop.flatten(0, 1).to(tokens.dtype)
    frames = [(flat == photo).nonzero()[:, 0] for photo in range(len(tokens))]
    seen = [
        (weights[rows].flatten(0, 1) @ photo).unflatten(0, (-1, FRAME_SIDE**2))
        for rows, photo in zip(frames, tokens, strict=True)
    ]
    return torch.cat(seen)[torch.cat(frames).argsort()].unflatten(0, shown.shape).flatten(1, 2)


def track(clip: ClipPlan, rows: Sequence[tuple[Sounds, int]]) -> Tensor:
    """The plan's sounds in time: (n, ...), zeros where no sound plays. rows: (source, row) of each sound."""
    hz, like = rows[0][0].hz, rows[0][0].at_gain(rows[0][1], 1.0)
    n = max(1, round(clip.duration_s * hz))
    out = like.new_zeros(n, *like.shape[1:])
    for part in clip.tracks:
        source, i = rows[part.sound]
        row = source.at_gain(i, part.gain)
        start, end = round(part.start_s * hz), min(n, round(part.end_s * hz))
        if end > start:
            out[start:end] = row[torch.arange(end - start) % len(row)]
    return out
