"""Clips from features: frames are crops of the photos' tokens, and tracks play layers or samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engines.model.fusion import FRAME_SIDE
from engines.protocol import RATE_HZ
from engines.training.clips import Box, ClipPlan, Scene, Track, crops, frame_tokens, track
from engines.training.feature_cache import FeatureFile
from engines.training.in_memory import MemorySounds
from engines.training.sources import LAYERS_HZ
from tests.engines.model.makers import drawn

WHOLE = (0.0, 0.0, 1.0, 1.0)


def stored(path: Path, rows: list[Tensor]) -> FeatureFile:
    FeatureFile.write(path, [(row, {}) for row in rows])
    return FeatureFile(path, "layers")


def clip(scenes: tuple[Scene, ...], tracks: tuple[Track, ...] = ()) -> ClipPlan:
    return ClipPlan(
        scenes=scenes,
        tracks=tracks,
        duration_s=2.0,
        question="?",
        answer="!",
        language="en",
        kind="see",
        needs=frozenset(),
    )


SIDE = 8
seeds = st.integers(0, 2**32 - 1)
boxes = st.tuples(*[st.floats(0.0, 0.6)] * 2, *[st.floats(0.2, 0.4)] * 2).map(
    lambda drawn: (drawn[0], drawn[1], drawn[0] + drawn[2], drawn[1] + drawn[3])
)


def scenes(*photos: int, box: Box = WHOLE) -> tuple[Scene, ...]:
    """These photos one after the other, each as long as the others, the camera still."""
    n = len(photos)
    return tuple(Scene(photo, 2.0 * i / n, 2.0 * (i + 1) / n, box, box) for i, photo in enumerate(photos))


def seen(tokens: Tensor, plan: ClipPlan, n_frames: int) -> Tensor:
    """Photos' tokens (P, N, D) as the camera of one plan shows them: (F, 4, D)."""
    shown, crop = crops(plan, n_frames, round(tokens.shape[1] ** 0.5))
    return frame_tokens(tokens, torch.tensor(shown)[None], crop[None])[0].unflatten(0, (n_frames, FRAME_SIDE**2))


def cropped_like_a_picture(tokens: Tensor, plan: ClipPlan, n_frames: int) -> Tensor:
    """The same, each frame's grid of tokens cropped as a picture is and its quarters averaged."""
    side = round(tokens.shape[1] ** 0.5)
    found = []
    for time_s in plan.frame_times_s(n_frames):
        scene = plan.scene(time_s)
        left, top, right, bottom = scene.box(time_s)
        steps = (torch.arange(side) + 0.5) / side
        down, across = torch.meshgrid(top + (bottom - top) * steps, left + (right - left) * steps, indexing="ij")
        grid = torch.stack([across, down], dim=-1) * 2 - 1
        picture = tokens[scene.photo].T.reshape(1, -1, side, side)
        crop = F.grid_sample(picture, grid[None], mode="bilinear", padding_mode="border", align_corners=False)
        found.append(F.adaptive_avg_pool2d(crop, FRAME_SIDE)[0].flatten(1).T)
    return torch.stack(found)


# --- the picture -------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(start=boxes, end=boxes, other=boxes, n_frames=st.sampled_from([1, 5, 8]), side=st.sampled_from([2, 4, SIDE]))
def test_a_frame_is_a_crop_of_the_grid_of_tokens_averaged_by_quarters(start, end, other, n_frames, side):
    tokens = drawn(3, side**2, 5)
    plan = clip((Scene(2, 0.0, 1.2, start, end), Scene(0, 1.2, 2.0, other, WHOLE)))
    assert torch.allclose(seen(tokens, plan, n_frames), cropped_like_a_picture(tokens, plan, n_frames), atol=1e-4)


@pytest.mark.parametrize("box", [WHOLE, (0.0, 0.0, 0.1, 0.1), (0.9, 0.9, 1.0, 1.0), (0.25, 0.0, 1.0, 0.75)], ids=str)
def test_a_frame_at_the_edge_of_a_photo_stays_within_it(box):
    _, crop = crops(clip(scenes(0, box=box)), 3, SIDE)
    assert crop.shape == (3, 4, SIDE**2)
    assert (crop >= 0).all()
    assert torch.allclose(crop.sum(2), torch.ones(3, 4), atol=1e-5)
    tokens = drawn(1, SIDE**2, 5)
    plan = clip(scenes(0, box=box))
    assert torch.allclose(seen(tokens, plan, 3), cropped_like_a_picture(tokens, plan, 3), atol=1e-4)


def test_a_cut_shows_the_next_photo():
    shown, _ = crops(clip(scenes(3, 0, 3, 1)), 8, SIDE)
    assert shown == [3, 3, 0, 0, 3, 3, 1, 1]


def test_gradients_reach_the_photos_shown_and_no_others():
    tokens = drawn(4, 16, 3).requires_grad_()
    shown, crop = crops(clip(scenes(2, 0)), 4, 4)
    frame_tokens(tokens, torch.tensor(shown)[None], crop[None]).sum().backward()
    assert tokens.grad is not None
    assert tokens.grad.any(2).any(1).tolist() == [True, False, True, False]


# --- the sound ---------------------------------------------------------------------------------------------------


def test_sounds_play_in_their_time_and_repeat_when_they_are_short(tmp_path):
    sounds = stored(tmp_path / "sounds", [torch.tensor([1.0, 2.0])[:, None, None].expand(2, 7, 4)])
    heard = track(clip((Scene(0, 0.0, 2.0, WHOLE, WHOLE),), (Track(0, "sound", 0.6, 1.6, 1.0),)), [(sounds, 0)])
    assert heard.shape == (2 * LAYERS_HZ, 7, 4)
    assert heard[:, 0, 0].tolist() == [0, 0, 0, 1, 2, 1, 2, 1, 0, 0]


def test_samples_play_in_their_time_at_their_gain():
    sounds = MemorySounds([np.array([8000, -8000], np.int16), np.array([4000], np.int16)], [{}, {}])
    tracks = (Track(1, "sound", 0.5, 1.0, 0.5), Track(0, "sound", 1.0, 3.0, 1.0))  # the last beyond the clip's end
    heard = track(clip(scenes(0), tracks), [(sounds, 0), (sounds, 1)]).int()
    second = RATE_HZ
    assert heard.shape == (2 * second,)
    assert not heard[: second // 2].any()
    assert (heard[second // 2 : second] - 2000).abs().max() <= 1
    assert (heard[second:].unflatten(0, (-1, 2)) - torch.tensor([8000, -8000])).abs().max() <= 1


def test_a_clip_without_tracks_has_nothing_to_hear(tmp_path):
    sounds = stored(tmp_path / "sounds", [torch.ones(2, 7, 4)])
    assert not track(clip((Scene(0, 0.0, 2.0, WHOLE, WHOLE),)), [(sounds, 0)]).any()
