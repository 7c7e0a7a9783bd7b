"""Sound tracks and films, by PyAV: decoded as a stream, mono 16 kHz, frames upright and by time.

A packet that cannot be decoded is left out and the next one tried; a file that breaks off ends there. Times count from
the first picture or sound in the file, whatever the file's own clock says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from engines.media import budget
from engines.media.opening import open_file
from engines.media.refusals import MAX_FRAME_PIXELS, MAX_SECONDS, MAX_TRACKS, MIN_SOUND_S, refusal
from engines.media.segment import STEP_S, loudness
from engines.protocol import RATE_HZ

_FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dts,dv,eac3,flac,flv,g722,ivf,matroska,mov,mp3,mpeg,mpegts,mxf,nut,"
    "ogg,rm,tta,w64,wav,wv"
)
"""libav's names of what is read. Nothing here opens a second file; playlists, scripts and devices are left out."""
_BY_SUFFIX = {".g722": "g722", ".722": "g722"}
"""Formats without a signature are recognised by their suffix."""
_BY_MARK = {b"\x7f\xfe\x80\x01": "dts", b"\xfe\x7f\x01\x80": "dts"}
"""What libav tells only from the first second on."""

_FAULTS = (av.FFmpegError, OSError, ValueError, LookupError, MemoryError)
"""What PyAV raises on damaged bytes."""

_OPEN_TIMEOUT_S = 60.0
_GAP_S, _MAX_GAP_S = 0.1, 600.0
"""A jump of the sound's clock between these becomes silence, as pictures go on; a longer one is a broken clock."""
MAX_ASPECT = 8.0
"""Pixels that are said to be longer than this are taken for square."""
_JUMPS_S = (0.0, 2.0, 10.0, math.inf)
"""How far before a wanted frame to try: in MPEG streams, which have no index, a jump may land after it."""
FAINT_RMS = 10.0 ** (-50.0 / 20.0)
"""A sound that is no louder, but for a click or beep, is brought to USUAL_RMS, if it is louder than SILENT_RMS and no
even hiss: its loudest parts are UNEVEN times louder than its softest."""
CLICK_S, CLICK_SHARE = 0.5, 0.05
"""Clicks and beeps take no longer than this in all, and no more than this share of a sound; more of it is its sound."""
USUAL_RMS, SILENT_RMS, UNEVEN = 10.0 ** (-25.0 / 20.0), 10.0 ** (-90.0 / 20.0), 10.0 ** (10.0 / 20.0)
CLIPPED_RMS = 10.0 ** (-10.0 / 20.0)
"""Speech that is louder than this goes beyond full scale."""
EXCERPT_S = 30.0
ANTIPHASE = 0.1
"""Where the mean of two channels is this much quieter than the louder of them, they cancel out."""
_PREROLL_S = 0.2
"""How far before a wanted time sound is decoded from: Opus settles in 80 ms (RFC 7845), MP3 in a frame or two."""


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """A file with at least one readable track. Raises MediaError."""
    limits = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    with open_file(path) as file:
        format = _BY_MARK.get(file.peek(4)[:4]) or _BY_SUFFIX.get(path.suffix.lower())
        try:  # from a handle: no name is ever taken for a protocol or a pattern
            container = av.open(file, format=format, options=limits, metadata_errors="replace", timeout=_OPEN_TIMEOUT_S)
        except _FAULTS as error:
            raise refusal("unknown", path) from error
        with container:
            if len(container.streams) > MAX_TRACKS:
                raise refusal("too_many_tracks", path)
            if video(container) is None and not sound_tracks(container):
                raise refusal("unknown", path)
            yield container


def sound_tracks(container: InputContainer) -> list[AudioStream]:
    """The sound tracks there is a decoder for."""
    return [track for track in container.streams.audio if track.codec_context is not None]


def languages(container: InputContainer) -> tuple[str, ...]:
    """The languages of these tracks, as the file names them ("eng"), "und" where it does not."""
    return tuple(track.language or "und" for track in sound_tracks(container))


def video(container: InputContainer) -> VideoStream | None:
    """The first moving picture there is a decoder for; cover art is none."""
    for track in container.streams.video:
        if track.codec_context is not None and not track.disposition & Disposition.attached_pic:
            return track
    return None


def duration_s(path: Path, container: InputContainer) -> float:
    """How long a file is, counted packet by packet where its head does not say so or says too much."""
    stated_s = 0.0 if container.duration is None else container.duration / av.time_base
    if not 0 < stated_s <= MAX_SECONDS:
        stated_s = _counted_s(container)
    if stated_s > MAX_SECONDS:
        raise refusal("too_long", path)
    return stated_s


def _zero_s(container: InputContainer) -> float:
    return 0.0 if container.start_time is None else container.start_time / av.time_base


def _counted_s(container: InputContainer) -> float:
    end_s = zero_s = _zero_s(container)
    try:
        for packet in container.demux():
            if packet.pts is not None and packet.time_base is not None:
                end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        container.seek(0)
    except _FAULTS:  # it breaks off there, or cannot go back; who reads on will see
        pass
    return end_s - zero_s


def _frames(container: InputContainer, track: AudioStream | VideoStream) -> Iterator[Any]:
    for packet in _packets(container, track):
        try:
            frames = track.codec_context.decode(packet)
        except _FAULTS:
            continue
        yield from frames


def _packets(container: InputContainer, track: AudioStream | VideoStream) -> Iterator[av.Packet | None]:
    """The packets of a track, then an empty one or None, which makes a decoder give out what it still holds."""
    packets = container.demux(track)
    while True:
        try:
            packet = next(packets, None)
        except _FAULTS:  # the file breaks off
            packet = None
        if packet is None or (packet.size == 0 and packet.dts is None):
            yield packet
            return
        if packet.size > 0:  # an empty one on the way (AVI has them for repeated frames) would end it all
            yield packet


def _time_s(frame: av.AudioFrame | av.VideoFrame) -> float | None:
    time_s = frame.time
    return None if time_s is None or math.isnan(time_s) else float(time_s)


# --- sound -------------------------------------------------------------------------------------------------------


class Mono:
    """libav's resampler to mono 16 kHz, rebuilt when a file changes its rate or layout midway.

    Channels are mixed with weights that add up to 1, so a level stays a level. Where the left and right side cancel
    out, the louder one is taken.
    """

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._shape: tuple[str, str, int] | None = None

    def push(self, frame: av.AudioFrame) -> list[np.ndarray]:
        """Samples (n,) float32 that are ready after this frame."""
        out: list[np.ndarray] = []
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            out = self.flush()
            self._graph, self._shape = _mono_graph(frame), shape
        frame.pts = None  # gaps are filled by who reads the clock; the filter is to pass samples on as they come
        assert self._graph is not None
        self._graph.push(frame)
        return out + self._pull()

    def flush(self) -> list[np.ndarray]:
        """Return what the filter still holds and reset it."""
        if self._graph is None:
            return []
        self._graph.push(None)
        out = self._pull()
        self._graph = self._shape = None
        return out

    def _pull(self) -> list[np.ndarray]:
        assert self._graph is not None
        out: list[np.ndarray] = []
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return out
            samples = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
            out.append(_mixed(np.clip(np.nan_to_num(samples, posinf=1.0, neginf=-1.0), -1.0, 1.0)))


def _mixed(samples: np.ndarray) -> np.ndarray:
    """(n, 1) or (n, 2) -> (n,)."""
    mean: np.ndarray = samples.mean(axis=1)
    energies = (samples.astype(np.float64) ** 2).mean(axis=0)
    if samples.shape[1] == 2 and float((mean.astype(np.float64) ** 2).mean()) < ANTIPHASE**2 * energies.max():
        return np.ascontiguousarray(samples[:, energies.argmax()])
    return mean


def _mono_graph(frame: av.AudioFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    nodes = [
        graph.add_abuffer(
            sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout, time_base=frame.time_base
        )
    ]
    n_channels = frame.layout.nb_channels
    layout = "mono" if n_channels == 1 else "stereo"  # the sides are mixed here, as they may cancel out
    if n_channels > 8:  # libav has no downmix for unnamed channels; the mean of all
        mean = "+".join(f"{1 / n_channels:.9f}*c{i}" for i in range(n_channels))
        nodes.append(graph.add("pan", f"stereo|c0={mean}|c1={mean}"))
    nodes.append(graph.add("aresample", f"{RATE_HZ}:rematrix_maxval=1"))
    nodes.append(graph.add("aformat", f"sample_fmts=flt:sample_rates={RATE_HZ}:channel_layouts={layout}"))
    nodes.append(graph.add("abuffersink"))
    graph.link_nodes(*nodes).configure()
    return graph


@dataclass(frozen=True)
class Heard:
    """The sound track of a file that is heard.

    number: counted from 1. languages: of all sound tracks, as the file names them. gain: what it is made louder by.
    """

    number: int
    languages: tuple[str, ...]
    gain: float = 1.0


def choose(path: Path, number: int = 0) -> Heard:
    """The track asked for by its number; for 0 the file's default, or else the first that is not silent.

    Raises MediaError.
    """
    with opened(path) as container:
        tracks = sound_tracks(container)
        if not tracks:
            raise refusal("no_sound", path)
        if number > len(tracks):
            raise refusal("no_such_track", path, n_tracks=len(tracks))
        by_default = sorted(range(len(tracks)), key=lambda i: not tracks[i].disposition & Disposition.default)
        order = [number - 1] if number else by_default
        gains = {}
        for i in order:
            levels = _levels(container, tracks[i])
            gains[i] = _gain(levels)
            if levels.max(initial=0.0) >= SILENT_RMS:
                break
        else:
            i = order[0]
        return Heard(i + 1, languages(container), gains[i])


def _levels(container: InputContainer, track: AudioStream) -> np.ndarray:
    """The loudness of each 20 ms of a track at three places, or up to where it is loud enough to be heard."""
    length_s = 0.0 if container.duration is None else container.duration / av.time_base
    found = [np.zeros(1, np.float32)]
    n_loud = 0
    for start_s in sorted({0.0, length_s / 3, 2 * length_s / 3}):
        n = 0
        _seek(container, track, 0.0)
        for block in _timed_blocks(container, track, start_s):
            found.append(loudness(block))
            n += len(block)
            n_loud += int((found[-1] >= FAINT_RMS).sum())
            if n_loud > CLICK_S / STEP_S or n >= EXCERPT_S * RATE_HZ:
                break
        if n_loud > CLICK_S / STEP_S:
            break
    return np.concatenate(found)


def _gain(levels: np.ndarray) -> float:
    """What brings faint speech to an everyday level; 1 for what is loud enough, silent, or an even hiss."""
    is_faint = levels < FAINT_RMS
    if (~is_faint).sum() > min(CLICK_S / STEP_S, CLICK_SHARE * len(levels)):
        return 1.0
    loud, soft = np.percentile(levels[is_faint], (99.5, 10))
    if loud < SILENT_RMS or loud < UNEVEN * soft:
        return 1.0
    return float(USUAL_RMS / loud)


def sound_blocks(path: Path, container: InputContainer, start_s: float, heard: Heard) -> Iterator[np.ndarray]:
    """Blocks (n,) float32 of a file's sound from `start_s` on. Raises MediaError, also where there is none left.

    A click in a faint sound is clipped; where more gets too loud, the sound is made louder no longer.
    """
    track, gain = sound_tracks(container)[heard.number - 1], heard.gain
    n_given, clipped_s = 0, 0.0
    for block in _timed_blocks(container, track, start_s):
        n_given += len(block)
        if start_s + n_given / RATE_HZ > MAX_SECONDS:
            raise refusal("too_long", path)
        if gain > 1.0:
            clips = gain * loudness(block) > CLIPPED_RMS
            clipped_s = max(0.0, clipped_s + STEP_S * float((clips - CLICK_SHARE).sum()))
            if clipped_s > CLICK_S:  # it gets loud after all
                gain = 1.0
        yield block if gain == 1.0 else np.clip(block * np.float32(gain), -1.0, 1.0)
    if start_s == 0 and n_given < MIN_SOUND_S * RATE_HZ and (n_given > 0 or _is_momentary(container, track)):
        raise refusal("too_short", path)
    if n_given == 0:
        raise refusal("past_the_end" if start_s > 0 else "damaged", path, start_s=start_s)


def _is_momentary(container: InputContainer, track: AudioStream) -> bool:
    """Whether a track of which nothing could be decoded is too short for that, rather than damaged."""
    stated_s = 0.0 if container.duration is None else container.duration / av.time_base
    if stated_s > 0:
        return stated_s < MIN_SOUND_S
    _seek(container, track, 0.0)
    return not any(packet is not None and packet.size > 0 for packet in _packets(container, track))


def _timed_blocks(container: InputContainer, track: AudioStream, start_s: float) -> Iterator[np.ndarray]:
    """Blocks whose first sample lies at `start_s`, with silence where the file's clock says there is a gap."""
    origin_s = _zero_s(container) + start_s
    if start_s > 0:
        _seek(container, track, origin_s - _PREROLL_S)
    frames = _frames(container, track)
    first = next(frames, None)
    if first is None:
        return
    first_s = _time_s(first)
    begins_s = 0.0 if first_s is None else min(0.0, first_s - origin_s)
    n_early = round(-begins_s * RATE_HZ)
    for block in _unbroken(chain([first], frames), origin_s, begins_s):
        if n_early < len(block):
            yield block[n_early:]
        n_early = max(0, n_early - len(block))


def _unbroken(frames: Iterable[av.AudioFrame], origin_s: float, begins_s: float) -> Iterator[np.ndarray]:
    mono, reached_s = Mono(), begins_s  # how far the frames so far reach, counted from origin_s
    for frame in frames:
        time_s = _time_s(frame)
        gap_s = 0.0 if time_s is None else time_s - origin_s - reached_s
        if _GAP_S < gap_s < _MAX_GAP_S:
            yield from mono.flush()
            yield np.zeros(round(gap_s * RATE_HZ), np.float32)
            reached_s += gap_s
        reached_s += frame.samples / frame.sample_rate
        try:
            ready = mono.push(frame)
        except _FAULTS:  # a frame in a shape libav cannot convert is as good as a damaged packet
            mono, ready = Mono(), []
        yield from ready
    yield from mono.flush()


def _seek(container: InputContainer, track: AudioStream | VideoStream, at_s: float) -> None:
    """Go to the nearest place before `at_s` from which decoding can start; to the beginning where that fails."""
    try:
        container.seek(int(at_s / track.time_base) if at_s > 0 and track.time_base else 0, stream=track)
    except _FAULTS:
        with suppress(*_FAULTS):  # a damaged file may not go back either; what comes next is read then
            container.seek(0)


# --- film --------------------------------------------------------------------------------------------------------


class Film:
    """The picture track of a clip, asked for the frame on screen at one time after another, ascending.

    Jumps where that saves decoding: a jump lands on the key frame before the wanted time, which pays only where
    key frames lie closer together than the wanted times. How close they lie is learnt from where jumps land.
    """

    def __init__(self, path: Path, container: InputContainer) -> None:
        track = video(container)
        if track is None:
            raise refusal("no_picture", path)
        if track.codec_context.width * track.codec_context.height > MAX_FRAME_PIXELS:
            raise refusal("too_many_frame_pixels", path, n_pixels=MAX_FRAME_PIXELS)
        track.thread_type = "AUTO"
        self._path, self._container, self._track = path, container, track
        self._zero_s = _zero_s(container)
        self._frame_s = float(1 / track.average_rate) if track.average_rate else 0.04
        self._leap_s = 1.0
        self.is_whole = True
        self._frames = _frames(container, track)
        self._shown: av.VideoFrame | None = None
        self._shown_s = 0.0
        self._next_s = 0.0
        self._next = self._decode()

    def at(self, time_s: float) -> av.VideoFrame:
        """The frame on screen at `time_s`: the first one before it appears, the last one after the end.

        Once half of the budget is spent, the last one reached.
        """
        if self._shown is not None and budget.is_half_spent():
            self.is_whole = False
            return self._shown
        if self._shown is not None and time_s - self._next_s > self._leap_s:
            self._jump(time_s)
        while self._next is not None and (self._shown is None or self._next_s <= time_s):
            self._shown, self._shown_s = self._next, self._next_s
            if budget.is_half_spent():
                self.is_whole = False
                break
            self._next = self._decode()
        if self._shown is None:
            raise refusal("damaged", self._path)
        return self._shown

    def upright_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(width, height) of a frame as it is shown."""
        width, height = self._shown_size(frame)
        return (height, width) if _is_turned(_matrix(frame)) else (width, height)

    def pixels(self, frame: av.VideoFrame, max_side: int) -> np.ndarray:
        """A frame as (H, W, 3) uint8, as players show it, its longer side at most `max_side`. Raises MediaError."""
        width, height = self._shown_size(frame)
        scale = min(1.0, max_side / max(width, height))
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
        try:
            array = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
        except _FAULTS as error:
            raise refusal("damaged", self._path) from error
        matrix = _matrix(frame)
        if _is_turned(matrix):
            array = array.transpose(1, 0, 2)
        (a, b), (c, d) = matrix
        return np.ascontiguousarray(array[:: -1 if b + d < 0 else 1, :: -1 if a + c < 0 else 1])

    def _shown_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(width, height) of a frame with square pixels, before it is turned; the longer side of a pixel grows."""
        aspect = float(self._track.sample_aspect_ratio or 1)
        if not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT:
            return frame.width, frame.height
        return round(frame.width * max(aspect, 1.0)), round(frame.height / min(aspect, 1.0))

    def _jump(self, time_s: float) -> None:
        for back_s in _JUMPS_S:
            _seek(self._container, self._track, self._zero_s + time_s - back_s)
            self._frames = _frames(self._container, self._track)
            self._next = self._decode()
            if self._next is None:  # nothing readable there: stay with what is on screen
                return
            if self._next_s <= time_s:
                break
        if self._next_s <= self._shown_s:  # key frames are at least this far apart
            self._leap_s = 2 * (time_s - self._shown_s)
        self._shown = None

    def _decode(self) -> av.VideoFrame | None:
        frame = next(self._frames, None)
        if frame is None:
            return None
        if frame.width * frame.height > MAX_FRAME_PIXELS:
            raise refusal("too_many_frame_pixels", self._path, n_pixels=MAX_FRAME_PIXELS)
        time_s = _time_s(frame)
        self._next_s = self._next_s + self._frame_s if time_s is None else time_s - self._zero_s
        return frame


Matrix: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


def _matrix(frame: av.VideoFrame) -> Matrix:
    """How the file asks for a frame to be shown: a pixel at (x, y) goes to (a x + c y, b x + d y), each -1, 0 or 1.

    The display matrix of ISO/IEC 14496-12, 8.5.3, by its largest entries: what is turned by odd angles is turned to the
    nearest quarter.
    """
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(data, np.int32)[:5].astype(np.int64).tolist()
            if abs(a) + abs(d) >= abs(b) + abs(c):
                return (-1 if a < 0 else 1, 0), (0, -1 if d < 0 else 1)
            return (0, -1 if b < 0 else 1), (-1 if c < 0 else 1, 0)
    return (1, 0), (0, 1)


def _is_turned(matrix: Matrix) -> bool:
    return matrix[0][0] == 0
