"""Where media meet the towers: photos, sounds, clips and text in, tokens and vectors out.

Nothing else reads media for the model. What was encoded for a caption or an answer is kept by the digest of its
content, so the second question about a clip is fast. Axes as in `model/fusion.py`: B batch, T sound tokens,
N picture tokens, F frames, L text tokens, D width.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines import media as files
from engines.decoding import DecodeOptions, generate
from engines.errors import MediaError, Message
from engines.index.rows import Source
from engines.meaning import Meaning
from engines.media.refusals import MIN_SOUND_S
from engines.media.segment import QUIET_RMS, STEP_S, is_quiet, loudness
from engines.model.checkpoint import Checkpoint
from engines.model.concepts import Name, NameTable, listed, names
from engines.model.features import log_mel, middle, photo_tensor, square_parts
from engines.model.fusion import SOUND_POOL, Heard, Memory, Stream
from engines.protocol import LANGUAGES, RATE_HZ, Clip, Kind, Media, Modality, Photo, Sound
from engines.text import tidy

MAX_HEARD_S = 27.0
"""The sound tower hears this much at a time, and three seconds of silence after it."""
TOKEN_S = STEP_S
"""Seconds of one sound token: two mel frames of 10 ms."""
N_FRAMES = 16
"""Frames of a clip that a question or caption rests on, evenly spaced; training shows 8 to 16."""
MAX_FRAMES = 16
"""Frames taken of a clip in memory."""
FRAMES_AT_ONCE = 4
ASKED_S = 60.0
"""Seconds of sound that a question or caption rests on, from the start."""
MAX_WINDOW_TOKENS = 96
"""Maximum new tokens per window of speech; ten seconds of fast speech have half of that."""
WINDOW_S = 10.0
"""Long sounds and clips are searched in windows of this length."""
WINDOW_FRAMES = 4
NAME_WEIGHT = 0.6
"""How far a picture's vector is moved towards the codes of what it shows. Of 0.3, 0.5, 0.6 and 0.7 on dev data, with
a QUERY_WEIGHT of 2, 4 or 8: 0.5 finds 67 % of ImageNet's classes first and 0.6 75 %, 0.7 costs Flickr8k a point."""
QUERY_WEIGHT = 4.0
"""The same for a query that is the name of a concept."""
SPEECH_THRESHOLD = 0.5
"""Probability of the event head from which a sound counts as speech."""
EVENT_TOKENS = 25
"""The event head judges 5 s at a time, as in training."""
UNCALIBRATED_FIT = (0.670, 8.8)
"""(cosine, slope) for a model without calibration: as strict as the strictest measured direction."""
T = TypeVar("T")
Seen: TypeAlias = Literal["photo", "sound", "clip"]


@dataclass(frozen=True)
class Encoded:
    """A photo, sound or clip after the towers.

    frames: (F, N, D), None without a picture; a photo is one frame. times_s: of the frames. concepts: (F, C)
    probabilities of each frame, None where the model has none. shown: (C,) probabilities of the whole. names: what is
    probably shown, the likeliest first. sound: the track at 5 tokens a second as a stream of one row, None without one.
    duration_s: of the whole medium. notes: how it was read. size: height and width of a photo in pixels.
    """

    kind: Seen
    duration_s: float = 0.0
    frames: Tensor | None = None
    times_s: tuple[float, ...] = ()
    concepts: np.ndarray | None = None
    shown: np.ndarray | None = None
    names: tuple[Name, ...] = ()
    sound: Stream | None = None
    notes: tuple[Message, ...] = ()
    size: tuple[int, int] = (0, 0)

    @property
    def n_bytes(self) -> int:
        tensors = [self.frames, None if self.sound is None else self.sound.tokens]
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)


Steps: TypeAlias = Generator[Encoded | None, None, Encoded]
"""Yields a medium as far as it is encoded, returns it with one part more."""


@dataclass(frozen=True)
class Window:
    """A stretch of a medium in the shared space. vector: (256,) float32 of length 1. text: the words of a text, or what
    is said. source: which part of the medium it stands for, "" for all of it."""

    kind: Kind
    vector: np.ndarray
    start_s: float = 0.0
    end_s: float = 0.0
    text: str = ""
    source: Source = ""


class MediaEncoder:
    """A checkpoint's towers and heads over media, with a bounded memory of what was encoded.

    Not thread-safe: a host calls it from its one worker.
    """

    def __init__(self, checkpoint: Checkpoint, *, cache_bytes: int = 0) -> None:
        self.model = checkpoint.model
        self.tokenizer = checkpoint.tokenizer
        self.model_digest = checkpoint.digest
        self.answers = checkpoint.answers
        self._cache_bytes = cache_bytes
        self._cache: OrderedDict[str, Encoded] = OrderedDict()
        self.sentences: dict[Any, Any] = {}
        """Sentences that were translated lately (`engines.tasks.carry`)."""

    def forget(self) -> None:
        """Empty the memory of encoded media, for when memory runs short."""
        self._cache.clear()
        self.sentences.clear()

    # --- for captions and answers ---

    def encode(self, media: Media, *, track: int = 0) -> Encoded:
        """Frames and sound of a medium as tokens; from memory if its content was encoded before."""
        *_, encoded = (step for step in self.encoding(media, track=track) if step is not None)
        return encoded

    @torch.inference_mode()
    def encoding(self, media: Media, *, track: int = 0) -> Iterator[Encoded | None]:
        """The same in steps of a few frames or half a minute of sound; the last one is whole.

        None while the file is being decoded, which others do. track: of a file's sound, 0 for its own choice.
        """
        digest = yield from _apart(media, lambda: _digest(media))
        key = f"{digest} {track}"
        if key in self._cache:
            self._cache.move_to_end(key)
            yield self._cache[key]
            return
        loaded = yield from _apart(media, lambda: _load(media, track))
        match loaded:
            case Photo(pixels, notes):
                parts = square_parts(pixels)
                frames, concepts = self.see(parts)
                times_s = (0.0,) * len(parts)
                size = pixels.shape[0], pixels.shape[1]
                encoded = Encoded("photo", 0.0, frames, times_s, concepts, notes=notes, size=size)
                encoded = self._with_names(encoded, self.name([middle(part) for part in parts]))
            case Sound() as sound:
                encoded = yield from self._with_track(Encoded("sound", sound.duration_s, notes=sound.notes), sound)
            case Clip() as clip:
                encoded = yield from self._with_frames(Encoded("clip", clip.duration_s, notes=clip.notes), clip)
                encoded = yield from self._with_track(encoded, clip.sound)
        self._cache[key] = encoded
        while self._cache and sum(item.n_bytes for item in self._cache.values()) > self._cache_bytes:
            self._cache.popitem(last=False)
        yield encoded

    def _with_frames(self, encoded: Encoded, clip: Clip) -> Steps:
        for i in range(0, len(clip.frames), FRAMES_AT_ONCE):
            frames, concepts = self.see(clip.frames[i : i + FRAMES_AT_ONCE])
            if encoded.frames is not None:
                frames = torch.cat([encoded.frames, frames])
                concepts = None if concepts is None else np.concatenate([encoded.concepts, concepts])
            encoded = replace(encoded, frames=frames, times_s=clip.times_s[: len(frames)], concepts=concepts)
            yield encoded
        return self._with_names(encoded)

    def _with_names(self, encoded: Encoded, closer: np.ndarray | None = None) -> Encoded:
        """What is shown, by the mean of all frames: a thing that only one moment shows must be very clear there.
        closer: (F, C) probabilities of a photo's parts seen from closer, which count as much."""
        if encoded.concepts is None:
            return encoded
        seen = encoded.concepts if closer is None else np.concatenate([encoded.concepts, closer])
        shown = seen.mean(0)
        return replace(encoded, shown=shown, names=names(shown, self.model.config))

    def _with_track(self, encoded: Encoded, sound: Sound | None) -> Steps:
        """The first 60 s of a sound, pooled to 5 tokens a second and timed; nothing where there is nothing to hear."""
        samples = np.zeros(0) if sound is None else files.resample(sound.samples, sound.rate_hz)
        samples = samples[: round(ASKED_S * RATE_HZ)]
        if is_quiet(samples):
            return encoded
        step = round(MAX_HEARD_S * RATE_HZ)
        heard: list[Heard] = []
        for i in range(0, len(samples), step):
            heard.append(self.hear(samples[i : i + step]))
            yield encoded
        tokens = torch.cat([self.model.bridge(part.mix) for part in heard], dim=1)  # (1, T', D)
        mask = torch.cat([part.mix_mask for part in heard], dim=1) & self._audible(samples, tokens.shape[1])
        times_s = torch.arange(tokens.shape[1], device=tokens.device)[None] * (TOKEN_S * SOUND_POOL)
        return replace(encoded, sound=Stream("sound", tokens, mask, times_s))

    def streams(
        self,
        encoded: Encoded,
        language: str = "en",
        *,
        whole: bool = False,
        hide: frozenset[Modality] = frozenset(),
    ) -> list[Stream]:
        """One row for fusion: the picture, each frame pooled to 4 tokens unless `whole`, the sound track, and the names
        of what is shown, in a language. Names come from the picture, so they are hidden with it."""
        found = []
        if encoded.frames is not None and "picture" not in hide:
            n_frames, n_tokens, width = encoded.frames.shape
            if whole:
                tokens = encoded.frames.reshape(1, n_frames * n_tokens, width)
            else:
                tokens = self.model.pool_frames(encoded.frames[None])  # (1, F * 4, D)
            clock = torch.tensor([encoded.times_s], device=tokens.device).repeat_interleave(
                tokens.shape[1] // n_frames, 1
            )
            mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
            found.append(Stream("picture", tokens, mask, None if whole else clock))
        if encoded.sound is not None and "sound" not in hide:
            found.append(encoded.sound)
        if encoded.names and not hide & {"picture", "names"}:
            text = listed([name.text(language) for name in encoded.names], language)
            found.append(Stream("names", *self.read(self.tokenizer.encode(text))))
        return found

    def name_tokens(self, encoded: Encoded, language: str) -> tuple[tuple[int, ...], ...]:
        """The names of what is shown as they stand inside a sentence."""
        found = []
        for name in encoded.names:
            ids = self.tokenizer.encode(name.text(language))
            if language == "zh" and ids and not self.tokenizer.decode(ids[:1]).strip():
                ids = ids[1:]  # Chinese has no space before a word
            found.append(tuple(ids))
        return tuple(found)

    @torch.inference_mode()
    def picture_vector(self, encoded: Encoded) -> np.ndarray:
        """The frames of an encoded photo or clip as one point in the shared space: (256,) of length 1."""
        assert encoded.frames is not None, "there is a picture"
        mask = torch.ones(encoded.frames.shape[:2], dtype=torch.bool, device=encoded.frames.device)
        vector = self.model.vector("photo", encoded.frames, mask).mean(0).cpu().numpy()
        return self._towards_names(vector, encoded.concepts)

    def _towards_names(self, vector: np.ndarray, concepts: np.ndarray | None) -> np.ndarray:
        """A picture's vector moved towards the codes of what it shows. concepts: (F, C) or None."""
        if concepts is None:
            return unit(vector)
        return unit(unit(vector) + NAME_WEIGHT * (concepts.mean(0) @ self._names.codes))

    @cached_property
    def _names(self) -> NameTable:
        return NameTable(self.model.config, self.model.concept_vectors.float().cpu().numpy())

    def names(self) -> tuple[list[tuple[str, str]], np.ndarray]:
        """(English, Chinese) names of groups of concepts, and the English names' vectors (G, E)."""
        groups, n = self.model.config.concept_groups, len(self.model.config.concepts)
        vectors = self._names.vectors[0, n:] if groups else np.zeros((0, 0), np.float32)
        return [(group.name.en, group.name.zh) for group in groups], vectors

    def query_vector(self, text: str, kind: Kind) -> np.ndarray:
        """What rows of a kind are compared with when a text is searched for.

        Pictures carry the codes of what they show, so a query that is the name of a concept, in any language, gets the
        code of that concept. What resembles no name stays as it is.
        """
        vector = self.text_vector(text)
        if kind not in ("photo", "clip") or not self.model.config.concepts or self.meaning(text) < 0.5:
            return vector
        found = self._names.found(vector)
        return vector if found is None else unit(vector + QUERY_WEIGHT * found)

    def see(self, frames: Sequence[np.ndarray]) -> tuple[Tensor, np.ndarray | None]:
        """Pictures (H, W, 3) uint8 -> (F, N, D), and what each shows: (F, C) probabilities, None without concepts."""
        tokens, concepts = self.model.see_and_name(self._photos(frames))
        return tokens, None if concepts is None else concepts.cpu().numpy()

    def name(self, frames: Sequence[np.ndarray]) -> np.ndarray | None:
        """What each of some pictures shows, as `see` gives it."""
        concepts = self.model.name(self._photos(frames))
        return None if concepts is None else concepts.cpu().numpy()

    def _photos(self, frames: Sequence[np.ndarray]) -> Tensor:
        px = self.model.config.photo_px
        return torch.stack([photo_tensor(frame, px) for frame in frames]).to(self.model.device)

    def _audible(self, samples: np.ndarray, n_tokens: int) -> Tensor:
        """Which pooled tokens hold anything to hear, (1, T') bool; training masks silence in the same way."""
        level = loudness(samples)
        level = np.pad(level, (0, max(0, n_tokens * SOUND_POOL - len(level))))[: n_tokens * SOUND_POOL]
        audible = level.reshape(n_tokens, SOUND_POOL).max(1) >= QUIET_RMS
        return torch.from_numpy(audible)[None].to(self.model.device)

    # --- for speech ---

    @torch.inference_mode()
    def hear(self, samples: np.ndarray) -> Heard:
        """At most 27 s of sound, (n,) float32 at 16 kHz -> one row of sound tokens."""
        mel = log_mel(torch.from_numpy(np.ascontiguousarray(samples, np.float32))[None], self.model.config.n_mels)
        device = self.model.device
        return self.model.hear(mel.to(device), torch.tensor([mel.shape[2]], device=device))

    @torch.inference_mode()
    def speech_probability(self, heard: Heard) -> float:
        """How sure the event head is that someone speaks in some 5 s of a sound, 0 to 1."""
        pad = -heard.mix.shape[1] % EVENT_TOKENS
        mix = F.pad(heard.mix, (0, 0, 0, pad)).unflatten(1, (-1, EVENT_TOKENS))[0]  # (W, 25, D)
        mask = F.pad(heard.mix_mask, (0, pad)).unflatten(1, (-1, EVENT_TOKENS))[0]  # (W, 25)
        logits = self.model.event_logits(mix, mask)
        return float(logits[:, self.model.config.events.index("speech")].max().sigmoid())

    @torch.inference_mode()
    def language_probabilities(self, memory: Memory) -> dict[str, float]:
        """How likely each language of speech is: the language tokens that may come after the start token."""
        start = torch.tensor([[self.tokenizer.sot_id]], device=memory.tokens.device)
        logits = self.model.decode(start, memory)[0, -1].float()
        probabilities = logits[list(self.tokenizer.language_ids.values())].softmax(-1).tolist()
        return dict(zip(self.tokenizer.language_ids, probabilities, strict=True))

    def spoken_language(self, memory: Memory) -> str:
        """The likeliest language of speech."""
        probabilities = self.language_probabilities(memory)
        return max(probabilities, key=lambda language: probabilities[language])

    def words(self, heard: Heard) -> str:
        """What is said, greedily written: good enough for search, and less work than a transcript."""
        memory = self.model.fuse([Stream("sound", heard.last, heard.mask)])
        language = self.spoken_language(memory)
        prefix = torch.tensor([self.tokenizer.prefix("transcribe", language)])
        options = DecodeOptions(task="transcribe", max_new=MAX_WINDOW_TOKENS, no_repeat=0)
        for (hypothesis,) in generate(self.model, memory, prefix, self.tokenizer, options):
            written = hypothesis.ids
        return tidy(self.tokenizer.decode(written), language)

    def transcript(self, media: Media, track: int = 0) -> str:
        """What is said in the first minute of a sound or clip, greedily written; "" where nobody speaks."""
        loaded = _load(media, track)
        sound = loaded.sound if isinstance(loaded, Clip) else loaded
        if not isinstance(sound, Sound):
            return ""
        samples = files.resample(sound.samples, sound.rate_hz)[: round(ASKED_S * RATE_HZ)]
        step, found = round(MAX_HEARD_S * RATE_HZ), []
        for i in range(0, len(samples), step):
            if is_quiet(samples[i : i + step]):
                continue
            heard = self.hear(samples[i : i + step])
            if self.speech_probability(heard) >= SPEECH_THRESHOLD:
                found.append(self.words(heard).strip())
        return " ".join(text for text in found if text)

    # --- for search ---

    @torch.inference_mode()
    def text_vector(self, text: str) -> np.ndarray:
        """Text in any language served -> (256,) float32 of length 1. What the text tower cannot hold is left out."""
        ids = self.tokenizer.encode(text)[: self.model.config.max_text_tokens]
        tokens, mask = self.read(ids)
        return _array(self.model.vector("text", tokens, mask))

    @torch.inference_mode()
    def read(self, ids: list[int], *, translating: bool = False) -> tuple[Tensor, Tensor]:
        """Tokens -> tokens (1, L, D) and their mask (1, L)."""
        row = torch.tensor([ids or [self.tokenizer.eos_id]], device=self.model.device)
        mask = torch.ones_like(row, dtype=torch.bool)
        return self.model.read(row, mask, translating=translating), mask

    def meaning(self, text: str) -> float:
        """How likely a text means anything, 0 to 1; 1 for a model that was not calibrated for it."""
        return 1.0 if self._meaning is None else self._meaning(text)

    @cached_property
    def _meaning(self) -> Meaning | None:
        config = self.model.config
        weights = config.calibration.get("search", {}).get("meaning")
        if weights is None:
            return None
        named = [*config.concepts, *(group.name for group in config.concept_groups)]
        known = {getattr(concept, language) for concept in named for language in LANGUAGES} | set(config.events)
        return Meaning(weights, self.text_vector, self.tokenizer.encode, known)

    def fit(self, score: float, query: Kind, row: Kind) -> float:
        """A cosine between two kinds as 0 to 1, calibrated on the dev split; below 0.5 it rather does not fit.

        Cosines of, say, text to photo lie lower than of photo to photo, so each direction has its own logistic curve:
        the row "text-photo" of the model's calibration table "search" holds the cosine at which it gives one half and
        its slope there.
        """
        table = self.model.config.calibration.get("search", {})
        midpoint, slope = table.get(f"{query}-{row}") or table.get("other") or UNCALIBRATED_FIT
        return 1.0 / (1.0 + math.exp(min(700.0, -slope * (score - midpoint))))

    def vector(self, media: Media, *, max_s: float = ASKED_S) -> Window:
        """A whole medium as one point: the mean of its windows in the first `max_s` seconds."""
        return mean_window([window for window in self.windows(media, max_s=max_s) if window is not None])

    def windows(self, media: Media, *, max_s: float | None = None) -> Iterator[Window | None]:
        """A medium in windows of 10 s, each a point in the shared space; a photo is one window.

        A window of sound is "speech" or "sound" as the event head hears it; one of a clip is the normalised mean of
        what its frames and its sound say, and after it comes one of its sound alone, or of the words said in it. Memory
        does not grow with the length. None while the file is being decoded.
        """
        parts = parts_of(media, max_s)
        for part in files.ahead(parts) if isinstance(media, Path) else parts:
            if part is None:
                yield None
            else:
                yield from self._windows_of(part)

    def _windows_of(self, part: Part) -> Iterator[Window]:
        match part.media:
            case Photo(pixels):
                yield Window("photo", self._pictures_vector(square_parts(pixels)))
            case Sound(samples):
                kind, vector, text = self._sound_vector(samples)
                yield Window(kind, vector, part.start_s, part.end_s, text)
            case Clip() as clip:
                yield from self._clip_windows(clip, part.start_s, part.end_s)

    def _clip_windows(self, clip: Clip, start_s: float, end_s: float) -> Iterator[Window]:
        vectors = [self._pictures_vector(clip.frames)] if clip.frames else []
        apart = []
        if clip.sound is not None:
            samples = files.resample(clip.sound.samples, clip.sound.rate_hz)[: round(MAX_HEARD_S * RATE_HZ)]
            if not vectors or not is_quiet(samples):
                _, vector, text = self._sound_vector(samples)
                vectors.append(vector)
                apart = [Window("clip", vector, start_s, end_s, text, "said" if text else "heard")]
        yield Window("clip", unit(np.mean(vectors, axis=0)), start_s, end_s)
        yield from apart

    @torch.inference_mode()
    def _pictures_vector(self, frames: list[np.ndarray] | tuple[np.ndarray, ...]) -> np.ndarray:
        """Pictures and their mirror images as one point, moved towards the names of what they show."""
        tokens, concepts = self.see([*frames, *(frame[:, ::-1] for frame in frames)])
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        vector = self.model.vector("photo", tokens, mask).mean(0).cpu().numpy()
        return self._towards_names(vector, concepts)

    @torch.inference_mode()
    def _sound_vector(self, samples: np.ndarray) -> tuple[Kind, np.ndarray, str]:
        """The kind of a sound, its vector and the words spoken in it."""
        heard = self.hear(samples)
        speaks = not is_quiet(samples) and self.speech_probability(heard) >= SPEECH_THRESHOLD
        if speaks and (text := self.words(heard).strip()):  # its words say more about it than its sound
            return "speech", self.text_vector(text), text
        return "sound", _array(self.model.vector("sound", heard.mix, heard.mix_mask)), ""


def mean_window(windows: Sequence[Window]) -> Window:
    """Windows of a medium as one: the normalised mean of those of the commonest kind. Those of a part are left out."""
    windows = [window for window in windows if not window.source]
    kinds = [window.kind for window in windows]
    kind = max(set(kinds), key=kinds.count)
    vector = unit(np.mean([window.vector for window in windows if window.kind == kind], axis=0))
    return Window(kind, vector, 0.0, windows[-1].end_s)


# --- reading, in another thread than the model's -----------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """Some seconds of a medium in memory; sound is at 16 kHz."""

    media: Photo | Sound | Clip
    start_s: float = 0.0
    end_s: float = 0.0


def _apart(media: Media, call: Callable[[], T]) -> Generator[None, None, T]:
    """What a call says about a medium; of a file in another thread, with None until it is there."""
    if not isinstance(media, Path):
        return call()
    value = yield from files.waited(call)
    return value


def parts_of(media: Media, max_s: float | None) -> Iterator[Part]:
    """A medium in windows of 10 s, at least those that begin before `max_s`; a photo, or a clip in memory, as one."""
    if isinstance(media, Path):
        info = files.probe(media)
        if info.kind == "clip":
            end_s = info.duration_s if max_s is None else min(info.duration_s, max_s)
            for start_s in starts(end_s):
                clip = files.load_clip(media, n_frames=WINDOW_FRAMES, start_s=start_s, max_s=WINDOW_S)
                yield Part(clip, start_s, min(start_s + WINDOW_S, end_s))
            return
        if info.kind == "sound":
            yield from sound_parts(files.stream_sound(media, chunk_s=WINDOW_S), max_s)
            return
        media = files.load_photo(media)
    match media:
        case Photo():
            yield Part(media)
        case Sound():
            yield from sound_parts(chunks(media), max_s)
        case Clip():
            yield Part(media, 0.0, media.duration_s)


def sound_parts(blocks: Iterator[np.ndarray], max_s: float | None) -> Iterator[Part]:
    """Blocks of samples (n,) at 16 kHz as parts, those that begin before `max_s`."""
    start_s = 0.0
    for block in blocks:
        end_s = start_s + len(block) / RATE_HZ
        if start_s > 0.0 and (len(block) < RATE_HZ or (max_s is not None and start_s >= max_s)):
            return  # a last second alone says nothing
        yield Part(Sound(block), start_s, end_s)
        start_s = end_s


def _load(media: Media, track: int) -> Photo | Sound | Clip:
    """A medium in memory, no more of it than a question rests on."""
    if not isinstance(media, Path):
        if isinstance(media, Sound):
            check_length(media)
        if isinstance(media, Clip) and len(media.frames) > MAX_FRAMES:
            kept = np.linspace(0, len(media.frames) - 1, MAX_FRAMES).round().astype(int)
            frames, times_s = tuple(media.frames[i] for i in kept), tuple(media.times_s[i] for i in kept)
            return replace(media, frames=frames, times_s=times_s)
        return media
    kind = files.probe(media).kind
    if kind == "photo":
        return files.load_photo(media)
    if kind == "sound":
        return files.load_sound(media, max_s=ASKED_S, track=track)
    return files.load_clip(media, n_frames=N_FRAMES, sound_s=ASKED_S, track=track)


def check_length(sound: Sound) -> None:
    """Raise MediaError for a sound in memory that is too short to say anything about."""
    if len(sound.samples) == 0:
        raise MediaError("sound_empty", "The sound is empty; record or choose another.")
    if sound.duration_s < MIN_SOUND_S:
        raise MediaError(
            "sound_too_short",
            "The sound is shorter than {shortest_s} seconds, too short to say what it is; choose a longer one.",
            shortest_s=MIN_SOUND_S,
        )


def chunks(sound: Sound) -> Iterator[np.ndarray]:
    check_length(sound)
    samples = files.resample(sound.samples, sound.rate_hz)
    step = round(WINDOW_S * RATE_HZ)
    yield from (samples[i : i + step] for i in range(0, len(samples), step))


def starts(duration_s: float) -> list[float]:
    """Where windows begin; a last second alone is left to the window before."""
    n = max(1, int(np.ceil((duration_s - 1.0) / WINDOW_S)))
    return [i * WINDOW_S for i in range(n)]


def _digest(media: Media) -> str:
    """SHA-256 over the content of a medium, as hex."""
    if isinstance(media, Path):
        return files.content_digest(media)
    digest = hashlib.sha256(type(media).__name__.encode())
    match media:
        case Photo(pixels):
            arrays = [pixels]
        case Sound(samples, rate_hz):
            arrays = [samples, np.array(rate_hz)]
        case Clip(frames, times_s, _, sound):
            arrays = [*frames, np.array(times_s), *([] if sound is None else [sound.samples, np.array(sound.rate_hz)])]
    for array in arrays:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _array(vectors: Tensor) -> np.ndarray:
    """The first of some vectors (B, E) on any device -> (E,) float32."""
    row: np.ndarray = vectors[0].float().cpu().numpy()
    return row


def unit(vector: np.ndarray) -> np.ndarray:
    """A vector as float32 of length 1."""
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
