"""Composed clips: laid out in time without gaps, the same for the same seed, rendered as planned."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.protocol import RATE_HZ, Photo, Sound
from engines.training.clips import NothingToAsk, plan, render
from engines.training.questions import NEEDS, Material
from tests.engines.training.material import MATERIAL, PHOTOS

seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds)
def test_scenes_and_sounds_fill_the_clip_without_gaps(seed):
    made = plan(np.random.default_rng(seed), MATERIAL, languages=("en", "zh"))
    assert 3.0 <= made.duration_s <= 10.0
    assert made.scenes[0].start_s == 0.0
    assert made.scenes[-1].end_s == made.duration_s
    assert all(before.end_s == after.start_s < after.end_s for before, after in pairwise(made.scenes))
    assert all(before.end_s == after.start_s < after.end_s for before, after in pairwise(made.tracks))
    assert all(track.end_s <= made.duration_s for track in made.tracks)
    for scene in made.scenes:
        for part in (0.0, 0.3, 1.0):
            left, top, right, bottom = scene.box(scene.start_s + part * (scene.end_s - scene.start_s))
            assert -1e-9 <= left < right <= 1.0 + 1e-9
            assert -1e-9 <= top < bottom <= 1.0 + 1e-9
            assert right - left >= 0.74


@given(seed=seeds)
def test_an_answer_has_one_to_three_words_and_the_clip_what_it_needs(seed):
    made = plan(np.random.default_rng(seed), MATERIAL)
    assert 1 <= len(made.answer.split()) <= 3
    assert made.needs == NEEDS[made.kind]
    if "sound" in made.needs:
        assert made.tracks


def test_without_sounds_only_pictures_are_asked_about_and_without_anything_nothing():
    silent = Material(PHOTOS, ())
    rng = np.random.default_rng(0)
    assert all("sound" not in plan(rng, silent).needs for _ in range(40))
    with pytest.raises(NothingToAsk, match="do not suffice"):
        plan(rng, Material((), ()))


@settings(max_examples=10)
@given(seed=seeds)
def test_a_rendered_clip_shows_each_scene_in_its_time(seed):
    made = plan(np.random.default_rng(seed), MATERIAL)
    clip = render(
        made,
        lambda i: Photo(np.full((30, 40, 3), 10 + 20 * i, np.uint8)),
        lambda i: Sound(np.full(1000, 0.5, np.float32)),
        side=32,
    )
    assert len(clip.frames) == len(clip.times_s) == 16
    for frame, time_s in zip(clip.frames, clip.times_s, strict=True):
        assert frame.shape == (32, 32, 3)
        shown = next(scene for scene in made.scenes if scene.start_s <= time_s < scene.end_s)
        assert frame.mean() == pytest.approx(10 + 20 * shown.photo, abs=1.0)
    assert (clip.sound is None) == (not made.tracks)
    if clip.sound is not None:
        assert len(clip.sound.samples) == round(made.duration_s * RATE_HZ)
        start = round(made.tracks[0].start_s * RATE_HZ)
        assert not clip.sound.samples[:start].any()
        assert clip.sound.samples[start:].min() > 0.2  # the short sound goes on, again and again
