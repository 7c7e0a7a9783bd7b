"""Prompts of chat models and the media they are shown, the same for local models and for servers.

request ──material()──▶ what the model takes of the medium ──conversation()──▶ turns of text, pictures and sound
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from engines import media as files
from engines.errors import AbilityError, MediaError, Message
from engines.media.segment import is_quiet
from engines.protocol import RATE_HZ, AskRequest, CaptionRequest, Clip, Media, Modality, Photo, Sound, TranslateRequest

N_FRAMES = 8
"""Frames of a clip that a model is shown; most models spend a few hundred tokens on each."""
HEARD_S = 30.0
"""Seconds of sound that a question is about: the window of Whisper's encoder, which most of these models use."""
NAMES = {"en": "English", "de": "German", "fr": "French", "zh": "Chinese"}

Kind: TypeAlias = Literal["photo", "sound", "clip"]


@dataclass(frozen=True, eq=False)
class Material:
    """The parts of a medium that a model takes. frames: (H, W, 3) uint8 each; samples: (n,) float32 at 16 kHz or None.

    silent: whether a clip or sound holds nothing to hear; samples is None then. notes: how it was read.
    """

    kind: Kind
    frames: tuple[np.ndarray, ...] = ()
    times_s: tuple[float, ...] = ()
    samples: np.ndarray | None = None
    silent: bool = False
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True, eq=False)
class Turn:
    """One turn of a conversation; media, if any, come before the text."""

    role: Literal["user", "assistant"]
    text: str
    frames: tuple[np.ndarray, ...] = ()
    samples: np.ndarray | None = None


def material(
    media: Media, takes: frozenset[Modality], host: str, *, hide: frozenset[Modality] = frozenset(), track: int = 0
) -> Material:
    """The parts of a medium that a model with these modalities is given, without hidden ones. track: sound track.

    Raises MediaError, and AbilityError where the model takes no part of it.
    """
    found = _loaded(media, track)
    if found.kind == "sound" and "sound" not in takes:
        raise AbilityError(
            "host_does_not_hear",
            "{host} does not hear; choose a photo or a clip, or another model in Models & device.",
            host=host,
        )
    blind = "picture" not in takes
    if blind and (found.kind == "photo" or (found.kind == "clip" and (found.silent or "sound" not in takes))):
        raise AbilityError(
            "host_does_not_see", "{host} does not see; choose a sound, or another model in Models & device.", host=host
        )
    sees, hears = "picture" in takes - hide, "sound" in takes - hide
    return Material(
        found.kind,
        found.frames if sees else (),
        found.times_s if sees else (),
        found.samples if hears else None,
        found.silent,
        found.notes,
    )


def _loaded(media: Media, track: int) -> Material:
    if isinstance(media, Path):
        kind = files.probe(media).kind
        if kind == "photo":
            media = files.load_photo(media)
        elif kind == "sound":
            media = files.load_sound(media, max_s=HEARD_S, track=track)
        else:
            media = files.load_clip(media, n_frames=N_FRAMES, sound_s=HEARD_S, track=track)
    match media:
        case Photo(pixels, notes):
            return Material("photo", (pixels,), (0.0,), notes=notes)
        case Sound():
            samples = _heard(media)
            if len(samples) == 0:
                raise MediaError("sound_empty", "The sound is empty; record or choose another.")
            silent = is_quiet(samples)
            return Material("sound", samples=None if silent else samples, silent=silent, notes=media.notes)
        case Clip(frames, times_s, _, sound, notes):
            evenly = np.linspace(0, len(frames) - 1, min(N_FRAMES, len(frames))).round().astype(int)
            shown, at_s = tuple(frames[i] for i in evenly), tuple(times_s[i] for i in evenly)
            heard = None if sound is None else _heard(sound)
            heard = None if heard is None or is_quiet(heard) else heard
            return Material("clip", shown, at_s, heard, silent=heard is None, notes=notes)
    raise TypeError(f"{type(media).__name__} is no medium")


def _heard(sound: Sound) -> np.ndarray:
    return files.resample(sound.samples, sound.rate_hz)[: round(HEARD_S * RATE_HZ)]


def conversation(request: CaptionRequest | AskRequest | TranslateRequest, given: Material | None) -> tuple[Turn, ...]:
    """The conversation for a request; its first turn holds the medium."""
    match request:
        case TranslateRequest():
            return (Turn("user", translation(request.text, request.source, request.target)),)
        case CaptionRequest():
            assert given is not None
            return (_first(given, f"Describe this {given.kind} in one sentence, in {NAMES[request.language]}."),)
        case AskRequest():
            assert given is not None
            asked = f"{request.question.strip()}\nAnswer briefly, in {NAMES[request.language]}."
            turns = [turn for q, a in request.history for turn in (Turn("user", q), Turn("assistant", a))]
            turns.append(Turn("user", asked))
            return (_first(given, turns[0].text), *turns[1:])
    raise TypeError(f"a {type(request).__name__} is not put to a model in words")


def _first(given: Material, text: str) -> Turn:
    if given.kind == "clip" and given.frames:
        times = ", ".join(f"{time_s:.1f}" for time_s in given.times_s)
        text = f"These are pictures of a clip, taken at {times} seconds. {text}"
    return Turn("user", text, given.frames, given.samples)


def translation(text: str, source: str | None, target: str) -> str:
    """The prompt for a translation; source None: the language is not stated."""
    spoken = "" if source is None else f" from {NAMES[source]}"
    return f"Translate{spoken} to {NAMES[target]}. Write the translation and nothing else.\n\n{text}"


def dictation(samples: np.ndarray, language: str | None) -> tuple[Turn, ...]:
    """The prompt for a transcript of a chunk of speech, (n,) float32 at 16 kHz."""
    spoken = "" if language is None else f" The language is {NAMES[language]}."
    text = f"Write down word for word what is said in this recording, and nothing else.{spoken}"
    return (Turn("user", text, samples=samples),)
