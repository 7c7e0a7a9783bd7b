"""Clips out of stores: what the camera sees and the track plays is what the stored towers' outputs hold."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from engines.training.clips import ClipPlan, Scene, Track
from engines.training.composed import MIX_HZ, frames, track
from engines.training.store import Ragged

WHOLE = (0.0, 0.0, 1.0, 1.0)


def store(path: Path, rows: list[Tensor]) -> Ragged:
    Ragged.write(path, [(row, {}) for row in rows], log="test")
    return Ragged(path)


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


def photos(folder: Path) -> Ragged:
    """Two photos of 4 x 4 places with two channels: one grows to the right, one is all ones."""
    ramp = torch.arange(4.0).repeat(4)
    return store(folder / "photos", [torch.stack([ramp, ramp], dim=1), torch.ones(16, 2)])


def test_a_still_camera_sees_the_photo_as_it_is_stored(tmp_path: Path) -> None:
    view = photos(tmp_path)
    seen = frames(clip((Scene(0, 0.0, 2.0, WHOLE, WHOLE),)), view, 3)
    assert seen.shape == (3, 16, 2)
    assert all(torch.equal(frame, view[0]) for frame in seen)


def test_a_crop_sees_its_part_and_a_cut_shows_the_next_photo(tmp_path: Path) -> None:
    right_half = (0.5, 0.0, 1.0, 1.0)
    scenes = (Scene(0, 0.0, 1.0, right_half, right_half), Scene(1, 1.0, 2.0, WHOLE, WHOLE))
    first, second = frames(clip(scenes), photos(tmp_path), 2)
    assert first.float().min() >= 1.5  # places 2 and 3 of the ramp, and what lies between
    assert torch.equal(second.float(), torch.ones(16, 2))


def test_sounds_play_when_they_should_and_over_again_when_they_are_short(tmp_path: Path) -> None:
    sounds = store(tmp_path / "sounds", [torch.tensor([1.0, 2.0])[:, None, None].expand(2, 7, 4)])
    heard = track(clip((Scene(0, 0.0, 2.0, WHOLE, WHOLE),), (Track(0, "sound", 0.6, 1.6, 1.0),)), [(sounds, 0)])
    assert heard.shape == (2 * MIX_HZ, 7, 4)
    assert heard[:, 0, 0].tolist() == [0, 0, 0, 1, 2, 1, 2, 1, 0, 0]


def test_a_clip_without_tracks_has_nothing_to_hear(tmp_path: Path) -> None:
    sounds = store(tmp_path / "sounds", [torch.ones(2, 7, 4)])
    assert not track(clip((Scene(0, 0.0, 2.0, WHOLE, WHOLE),)), [(sounds, 0)]).any()


def test_a_camera_moves_over_the_photo(tmp_path: Path) -> None:
    moving = Scene(0, 0.0, 2.0, (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0))
    columns = frames(clip((moving,)), photos(tmp_path), 4)[..., 0].float().mean(1)
    assert (columns.diff() > 0.2).all()
