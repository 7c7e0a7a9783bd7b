"""Clips with known answers, composed of photos and sounds: pans, zooms and cuts over photos, with sounds beneath.

`plan` draws a clip and a question from what the photos and sounds are known to contain, without pixels or samples, so
that training can compose the same plan from cached features. `render` makes frames and a sound track of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engines.errors import StudioError
from engines.model.fusion import FRAME_SIDE
from engines.protocol import RATE_HZ, Clip, Modality, Photo, Sound
from engines.training.questions import NEEDS, QUESTION_KINDS, QUESTIONS, Composer, Material, NoFit
from engines.training.sources import Sounds

Box: TypeAlias = tuple[float, float, float, float]
"""left, top, right, bottom as fractions of a photo's width and height."""

SOUND_UNDER_PICTURE = 0.7
"""Probability of a sound in a clip whose question needs none."""


class NothingToAsk(StudioError):
    """The photos and sounds do not suffice for any requested kind of question."""


@dataclass(frozen=True)
class Scene:
    """A photo on screen from start_s to end_s, the view moving linearly from start_box to end_box."""

    photo: int
    start_s: float
    end_s: float
    start_box: Box
    end_box: Box

    def box(self, time_s: float) -> Box:
        """The part of the photo in view."""
        part = min(max((time_s - self.start_s) / (self.end_s - self.start_s), 0.0), 1.0)
        left, top, right, bottom = (a + (b - a) * part for a, b in zip(self.start_box, self.end_box, strict=True))
        return left, top, right, bottom


@dataclass(frozen=True)
class Track:
    """A sound from start_s to end_s, played from its beginning and repeated when it is shorter."""

    sound: int
    kind: Literal["sound", "speech"]
    start_s: float
    end_s: float
    gain: float


@dataclass(frozen=True, kw_only=True)
class ClipPlan:
    """A clip to compose, and a question with its answer of one to three words.

    Photos and sounds are indices into the material. kind: a key of `QUESTIONS`. needs: modalities the answer rests on.
    """

    scenes: tuple[Scene, ...]
    tracks: tuple[Track, ...]
    duration_s: float
    question: str
    answer: str
    language: str
    kind: str
    needs: frozenset[Modality]

    def frame_times_s(self, n_frames: int = 16) -> tuple[float, ...]:
        """The middles of n_frames equal parts of the clip."""
        return tuple((i + 0.5) * self.duration_s / n_frames for i in range(n_frames))

    def scene(self, time_s: float) -> Scene:
        """The scene on screen at a time."""
        return next((scene for scene in self.scenes if time_s < scene.end_s), self.scenes[-1])


def plan(
    rng: np.random.Generator,
    material: Material,
    *,
    kinds: Sequence[str] = QUESTION_KINDS,
    languages: Sequence[str] = ("en",),
) -> ClipPlan:
    """Draw a clip and a question of one of `kinds`, uniformly, in one of `languages` ("en", "zh").

    Raises NothingToAsk when the material suffices for none of them.
    """
    language = str(rng.choice(list(languages)))
    for kind in rng.permutation(list(kinds)):
        composer = Composer(rng, material, language)
        try:
            question = QUESTIONS[str(kind)](composer)
            scenes, tracks = _layout(composer)
        except NoFit:
            continue
        return ClipPlan(
            scenes=scenes,
            tracks=tracks,
            duration_s=composer.duration_s,
            question=str(rng.choice(list(question.wordings))),
            answer=question.answer,
            language=language,
            kind=str(kind),
            needs=NEEDS[kind],
        )
    raise NothingToAsk("these photos and sounds do not suffice for any of the kinds of question asked for")


def _layout(composer: Composer) -> tuple[tuple[Scene, ...], tuple[Track, ...]]:
    """Scenes and tracks in time: what the question rests on, and what fills the rest."""
    rng, labels = composer.rng, composer.material.labels
    if not composer.photos:
        composer.show_anything(int(rng.integers(1, 3)))
    if not composer.sounds and composer.material.by_label and rng.random() < SOUND_UNDER_PICTURE:
        composer.play(composer.choose_labels(1))
    photo_cuts = composer.photo_cuts_s or composer.cuts_s(len(composer.photos) - 1)
    sound_cuts = composer.sound_cuts_s or composer.cuts_s(max(len(composer.sounds) - 1, 0))
    spans = pairwise([0.0, *photo_cuts, composer.duration_s])
    scenes = tuple(
        Scene(photo, start, end, *_camera(rng)) for photo, (start, end) in zip(composer.photos, spans, strict=True)
    )
    spans = pairwise([composer.sound_start_s, *sound_cuts, composer.duration_s])
    tracks = tuple(
        Track(sound, "speech" if labels[sound] == "speech" else "sound", start, end, float(rng.uniform(0.5, 1.0)))
        for sound, (start, end) in zip(composer.sounds, spans, strict=False)
    )
    return scenes, tracks


def _camera(rng: np.random.Generator) -> tuple[Box, Box]:
    """A zoom in, a zoom out or a pan; at least three quarters of each side stay in view."""
    side = float(rng.uniform(0.75, 0.95))
    left, top = (float(edge) for edge in rng.uniform(0.0, 1.0 - side, 2))
    near: Box = (left, top, left + side, top + side)
    other: Box = (1.0 - side - left, top, 1.0 - left, top + side)
    whole: Box = (0.0, 0.0, 1.0, 1.0)
    return ((whole, near), (near, whole), (near, other))[rng.integers(3)]


def render(
    plan: ClipPlan,
    photo: Callable[[int], Photo],
    sound: Callable[[int], Sound],
    *,
    n_frames: int = 16,
    side: int = 256,
) -> Clip:
    """Frames and sound track of a plan; photo and sound return the media of an index.

    Frames are square, (side, side, 3), since the picture tower resizes every picture to a square. Without tracks the
    clip has no sound.
    """
    pictures = {scene.photo: Image.fromarray(photo(scene.photo).pixels) for scene in plan.scenes}
    frames, times_s = [], plan.frame_times_s(n_frames)
    for time_s in times_s:
        scene = plan.scene(time_s)
        picture = pictures[scene.photo]
        left, top, right, bottom = scene.box(time_s)
        box = (left * picture.width, top * picture.height, right * picture.width, bottom * picture.height)
        frames.append(np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box=box)))
    return Clip(tuple(frames), times_s, plan.duration_s, _mix(plan, sound) if plan.tracks else None)


def _mix(plan: ClipPlan, sound: Callable[[int], Sound]) -> Sound:
    samples = np.zeros(round(plan.duration_s * RATE_HZ), np.float32)
    for track in plan.tracks:
        start, end = round(track.start_s * RATE_HZ), round(track.end_s * RATE_HZ)
        source = sound(track.sound).samples
        if len(source):
            samples[start:end] += track.gain * np.resize(source, end - start)
    return Sound(np.clip(samples, -1.0, 1.0))


# --- from features ---------------------------------------------------------------------------------------------------

# A plan rendered from the tokens of photos and the rows of sounds instead of pixels and samples.


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
