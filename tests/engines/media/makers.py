"""Small media files made on the spot, with known pictures and sounds, by PyAV; and how to tell these again."""

from __future__ import annotations

import base64
import os
import struct
import zlib
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


def shown_by(path: Path, *matrix: int) -> Path:
    """Write into an mp4 or mov how its picture is to be turned or mirrored, as phones do (ISO 14496-12). matrix: of
    four entries, -1, 0 or 1; (0, 1, -1, 0) turns it clockwise."""
    a, b, c, d = (entry << 16 for entry in matrix)
    data = bytearray(path.read_bytes())
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


DTS_TONE = zlib.decompress(base64.b85decode(
    b"c-oDWdo<f;7{^1j*jkj%EfuM#Yg$HWgidHHqH$|g)unWaFm&!pw385RS&O3Xq8*JT6DpaN=*>`5B5rj{HLNt$5cJfVhTo#w**V+J>Dhap_dU<${p"
    b"b6AKj%%`B+E%1RK*G)IV4DKIm2QmKSmBDTRLSMlRRGM556ovPJj+=oh<8}=A?%9Xo#K`>mJ3bRim$NLdI0}Thm{GNBK}-z6V$Wm5yKyLCRzfxgq$"
    b"y_qJ3(qIUWb@Pk6Eycb3dwyQ%)mZ35Ffa|U<;F-LT#B>A%)~7U>j05V}#h(rH9OG*W1ciKJwDc_zkffkJ;1*RK)ysm1FNBl<*kP_A_-Qb3HVd?30"
    b"X+P0A{|g_`fbzw<e20HKjpURfe`bI$E%~j*Q(&QV4xuq%wsci31z_A4kq0<oOy2%0T}kK1yKvE{Q0Y%fEbkaFa2-;5Tm#BtAN1$tFGVqv)o*_%8P"
    b"^hBiw0-gtj62@nU4mILBp2IWoNThzqX7b~8ARKSz8W3hq)&M=HD-VOiT(j0#aAC|^lg!8W<0q^3f%#G0>sjQ1q>a+$A@+DTE}!fxaD1BYVM;7K;f"
    b"*qZi>gx`@69cR~fuVKPF$=6}T-<mt}poWaQ7vh9+4=^yIW6$~BL>=F%#0G;`O|Q;}T?m|v4S}6Jk9b+0pYtdji)uMh<V})C;CUlR+;Ilikw{R9Gh"
    b"ZDfCP@+8yW(`GEIqhU6Q1ohado)2-~4(T#nMUhI<Wa~{l);WvZWV<1gWC)kEuV4II(31_{oh(uc&$aoj#hCAEW)s&N55Fczft45Gz7ABPwpONjn^"
    b"sSo%eMYkzb@ZkZ_U(wa@HAI97z6GF?%I&LsEK3BtJ*^-64DzAN&Oygr{lKeLL<}2?S^$(udS;wwzM=;o*YlD;Nl6C`+yt5So^*u2moZ;aoYwv=3g"
    b"#EwrhMy|ts4B#5nOk1*e!0HocAY|<$}m4F026#k>xL(N+$i^E0>1LxUY5_wjA?ah*o9qZnp!z=XZ%@R;30LYc`o}lrKD57`$^F$>i*6n=_-d8yFR"
    b"Y}$hbjPM3X5@R>`fI*f4C98AFPmItK#B+b{F9t)iycR9>kS;l*r)28o=5?oBJ2FzGd-Ed(AL`LTB~Ov!cMBeQ9b37oSRt-dm0J*+odEGmzb;**+U"
    b"F~<8Yoxc$IU|aOw6z|t_7|K$M@<D4mTyp{bvM$cLqoXAAly;S2t@_35EwN3Zet)?;Ix6aG5eievDp`03B}B8TOGh*wbkXO~bB=Dt!rfcd-u@`-mn"
    b";;<tkM42t?gZ0kBS*mxw)II)+fk3mw}hr`GoD+*=9T3K9jODQ;u=~;N$#b4gSGD^l$#BKky&*C;wG_OYR$99*9ZYt>h{3Y5K!fqDTDlgTyW<|0ce"
    b"ieyQ>J?phquK*_mab(W3MoYT6$M{(&v%yK`T`@HZiWH#WC6L;q~2<%XC4{^fYSU!_AiFZ2F6TnP!r^1qEm%yYPxjmE;VE>Qa?sg;1-`dc_BEj6LI"
    b"@dXqpQy3D$T1V#mp8G^qm9<Z-y;?CAuR{XP^qLrpT%LxJFA^(DL1Am_P=hp^zJQ(e|FYv2PQ^xO;2ehG{ha)1pQzBU*$!}_&-Tkp;`L1{FDD$_@3"
    b"s8>~jLfnI>#_=fc98C~#r<KCf>W4y(;;5Z!6C`!drqWJJ^c@|5p6?<?eA&^5~`rrT+gIa%PvJNl(H3vEz?Yd54vICd@yJ&kzJt^=rqDX5Q4VTPvW"
    b"%w}s#fTY_P&5ggyhQDuckJzZ}OI&}!6;T&b-%?K6H0o+;OS_HEQXYFw#m&ZJ$W>*xB->4EO-Kof->Pf)#uReCLlc|@xQz7aPRbl2S+^+2XKYM^j+"
    b"(tX{@?evpcaTf{QsX4J2>$H5C|k-E39K=EqUI3NVMN=XP@T5X)HzWP1t~5d!q7lElWLzWU*|VfQrUQWNtYEk7Z%Td<4Aydy~!nn*v++`1N`#b_35"
    b"dubJ|{-VlG9<5+N?a5zy)c&ncDCY3aQZwz{`TF_Vim1CuOV4-Kw;1?<WGj;1+4BxyS3te{$HN#*ezWHlhE{1w|sVHSK2;SYroCjMB7YGD&e<#r(%"
    b"0<<1C|_9NI`82?qm6sI4!Wakilf+sNI(h#{Q*q0TiO"
))  # fmt: skip
"""A raw DTS stream, which PyAV cannot write: 0.4 s of 440 Hz, mono, 8 kHz, 32 kbit/s, by FFmpeg's encoder."""
