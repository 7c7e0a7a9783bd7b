"""Small media files made on the spot, with known pictures and sounds, by PyAV; and how to tell these again."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from engines import protocol

RATE_HZ = 48_000
SOUND_FILES = {  # suffix -> coding
    "mp3": "libmp3lame",
    "m4a": "aac",
    "aac": "aac",
    "opus": "libopus",
    "ogg": "libopus",
    "oga": "flac",
    "flac": "flac",
    "wav": "pcm_s16le",
    "aiff": "pcm_s16be",
    "wma": "wmav2",
    "mka": "flac",
}


def sine(seconds: float, *, rate_hz: int = RATE_HZ, hz: float = 440.0, level: float = 0.5) -> np.ndarray:
    """A tone, (n,) float32."""
    times_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * hz * times_s)).astype(np.float32)


def brightness(second: float, seconds: float) -> int:
    """The grey that a frame of `film` shows at a time: it tells the time."""
    return round(30 + 200 * second / seconds)


def film(
    path: Path,
    *,
    picture: str | None = "libx264",
    sound: str | None = "aac",
    seconds: float = 2.0,
    fps: int = 10,
    size: tuple[int, int] = (64, 48),
    key_every: int = 10,
    times_s: Sequence[float] | None = None,
    paint: Callable[[int], np.ndarray] | None = None,
    samples: np.ndarray | None = None,
    rate_hz: int = RATE_HZ,
    layout: str = "mono",
    format: str | None = None,
    options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """A clip whose frames brighten with time, with a tone under it; without picture a sound file.

    times_s: when the frames appear, in place of `fps`. samples: (n,) or (channels, n) at `rate_hz`.
    """
    with _at_the_same_priority(), av.open(str(path), "w", format=format, options=options or {}) as container:
        container.metadata.update(metadata or {})
        tracks: list[tuple[av.stream.Stream, list[av.frame.Frame]]] = []
        if picture is not None:
            quiet = {"x265-params": "log-level=none"} if picture == "libx265" else {}
            video = container.add_stream(picture, rate=fps, options={"preset": "8"} if "av1" in picture else quiet)
            video.width, video.height, video.pix_fmt, video.gop_size = *size, "yuv420p", key_every
            times_s = times_s or [i / fps for i in range(round(seconds * fps))]
            tracks.append((video, [_frame(i, t, seconds, size, paint) for i, t in enumerate(times_s)]))
        if sound is not None:
            audio = container.add_stream(sound, rate=rate_hz, layout=layout)
            audio.bit_rate = 64_000  # the WMA encoder has no default of its own
            given = sine(seconds, rate_hz=rate_hz) if samples is None else samples
            n_channels = audio.layout.nb_channels
            planes = np.broadcast_to(given, (n_channels, given.shape[-1]))
            tracks.append((audio, _sounds(planes, layout, rate_hz)))
        for track, frames in tracks:
            for frame in [*frames, None]:
                for packet in track.encode(frame):
                    container.mux(packet)
    return path


@contextmanager
def _at_the_same_priority() -> Iterator[None]:
    """SVT-AV1, run by root, makes the thread that calls it a real-time one, which then starves all others."""
    if not hasattr(os, "sched_setscheduler"):
        yield
        return
    policy, priority = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, priority)


def _frame(
    i: int, time_s: float, seconds: float, size: tuple[int, int], paint: Callable[[int], np.ndarray] | None
) -> av.VideoFrame:
    grey = np.full((size[1], size[0], 3), brightness(time_s, seconds), np.uint8)
    frame = av.VideoFrame.from_ndarray(grey if paint is None else paint(i), format="rgb24")
    frame.pts, frame.time_base = round(time_s * 1000), Fraction(1, 1000)
    return frame


def _sounds(planes: np.ndarray, layout: str, rate_hz: int) -> list[av.AudioFrame]:
    frames = []
    for start in range(0, planes.shape[1], 1024):
        part = np.ascontiguousarray(planes[:, start : start + 1024], np.float32)
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, start, Fraction(1, rate_hz)
        frames.append(frame)
    return frames


def turned(path: Path, degrees: int) -> Path:
    """Write into an mp4 or mov that its picture is to be turned clockwise when shown, as phones do (ISO 14496-12)."""
    data = bytearray(path.read_bytes())
    one = 1 << 16
    a, b, c, d = {0: (one, 0, 0, one), 90: (0, one, -one, 0), 180: (-one, 0, 0, -one), 270: (0, -one, one, 0)}[degrees]
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def with_cover(mp3: Path, jpeg: bytes) -> Path:
    """Put a cover picture before an mp3, as an ID3v2.3 APIC frame."""
    body = b"\0image/jpeg\0\x03\0" + jpeg
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    mp3.write_bytes(b"ID3\x03\0\0" + size + frame + mp3.read_bytes())
    return mp3


def pitch_hz(samples: np.ndarray) -> float:
    """The strongest frequency of a sound at 16 kHz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * protocol.RATE_HZ / len(samples))


def seen_at(frame: np.ndarray, seconds: float) -> float:
    """The time at which a frame of `film` is on screen."""
    return (float(frame.mean()) - brightness(0, 1)) / (brightness(1, 1) - brightness(0, 1)) * seconds


def several_tracks(path: Path, sounds: dict[str, np.ndarray], *, default: str | None = None) -> Path:
    """A sound file with a track for each language, (n,) at 16 kHz."""
    with av.open(str(path), "w") as container:
        streams = []
        for language in sounds:
            stream = container.add_stream("flac", rate=protocol.RATE_HZ, layout="mono")
            stream.metadata["language"] = language
            stream.disposition = Disposition.default if language == default else Disposition(0)
            streams.append(stream)
        for stream, samples in zip(streams, sounds.values(), strict=True):
            frame = av.AudioFrame.from_ndarray((samples * 32_767).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = protocol.RATE_HZ, 0
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)
    return path
