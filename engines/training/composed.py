"""Clips composed out of stores: a plan's camera over the maps of photos, its tracks out of the layers of sounds."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from engines.training.clips import ClipPlan
from engines.training.store import Ragged

MIX_HZ = 5
"""Of the layers of sounds in a store."""


def frames(clip: ClipPlan, view: Ragged, n_frames: int) -> Tensor:
    """The plan's camera over stored maps: (F, 64, 1280). A crop of the picture is a crop of its map."""
    side = round(int(view.lengths[0]) ** 0.5)
    maps, boxes = [], []
    for time_s in clip.frame_times_s(n_frames):
        scene = clip.scene(time_s)
        maps.append(view[scene.photo].T.reshape(-1, side, side).float())
        boxes.append(scene.box(time_s))
    left, top, right, bottom = torch.tensor(boxes).T
    steps = (torch.arange(side) + 0.5) / side
    x = left[:, None] + (right - left)[:, None] * steps  # (F, 8) in 0..1
    y = top[:, None] + (bottom - top)[:, None] * steps
    grid = torch.stack(
        [x[:, None, :].expand(-1, side, -1), y[:, :, None].expand(-1, -1, side)], dim=-1
    )  # (F, 8, 8, 2)
    seen = F.grid_sample(torch.stack(maps), grid * 2 - 1, align_corners=False, padding_mode="border")
    return seen.flatten(2).transpose(1, 2).to(torch.bfloat16)


def track(clip: ClipPlan, rows: list[tuple[Ragged, int]]) -> Tensor:
    """The plan's sounds over stored layers at 5 Hz: (T', 7, 512), zeros where there is nothing to hear."""
    n = max(1, round(clip.duration_s * MIX_HZ))
    out = torch.zeros(n, *rows[0][0].inner, dtype=torch.bfloat16)
    for part in clip.tracks:
        store, i = rows[part.sound]
        row = store[i]
        start, end = round(part.start_s * MIX_HZ), min(n, round(part.end_s * MIX_HZ))
        if end > start:
            out[start:end] = row[torch.arange(end - start) % len(row)]
    return out
