"""Make every sample file of this folder again, from packages anyone can get.

    python -m scripts.make_samples --debian DIR [--out FOLDER]

DIR is where the Debian packages were unpacked (`apt-get download NAME`, then `dpkg -x FILE.deb DIR`); the Python
packages must be importable by the Python that runs this, and espeak-ng must be on the PATH. What is missing is named
before anything is written. SOURCES.md says who made each original and under which licence; samples.json names the
files for the page. Both are written by hand.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parents[1] / "assets" / "samples"
MAX_SIDE = 900
CLIP_SIZE = (848, 480)
CLIP_FPS = 25
CLIP_RATE_HZ = 44_100
BIT_RATE = 64_000  # of every compressed sound
# With its AVX-512 code x264 writes other bytes every time.
X264 = {"crf": "27", "preset": "slow", "x264-params": "asm=avx2"}
SPEECH_RATE_HZ = 16_000  # of the telephone prompts and of Pico

GCOMPRIS = "usr/share/gcompris-qt/rcc/{}.rcc"
ASTERISK = "usr/share/asterisk/{}.g722"
DEBIAN_PACKAGES = {
    "gcompris-qt-data": GCOMPRIS.format("erase"),
    "asterisk-core-sounds-en-g722": ASTERISK.format("sounds/en_US_f_Allison/tt-allbusy"),
    "asterisk-core-sounds-fr-g722": ASTERISK.format("sounds/fr_CA_f_June/tt-allbusy"),
    "asterisk-moh-opsound-g722": ASTERISK.format("moh/manolo_camp-morning_coffee"),
}
PYTHON_PACKAGES = {"scikit-image": "skimage", "scikit-learn": "sklearn", "py-nanotts": "py_nanotts"}

PICTURES = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "cat": ("skimage", "data/chelsea.png"),
    "coffee": ("skimage", "data/coffee.png"),
    "cow": ("explore_farm_animals", "animals/cow.webp"),
    "dog": ("explore_farm_animals", "animals/dog.webp"),
    "horses": ("explore_farm_animals", "animals/horse.webp"),
    "kingfisher": ("erase", "kingfisher.webp"),
    "kitten": ("explore_farm_animals", "animals/cat.webp"),
    "pagoda": ("sklearn", "datasets/images/china.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
}
PHOTOS = (
    "astronaut.jpg", "cat.jpg", "coffee.jpg", "cow.jpg", "dog.jpg",
    "horses.jpg", "kingfisher.webp", "pagoda.jpg", "rocket.jpg",
)  # fmt: skip

QUERY = "There is a dog in the grass."
ENGLISH = "This is the Summer Palace in Beijing. The tower stands on a hill above the lake."
GERMAN = (
    "Guten Morgen. Heute scheint die Sonne, und die Kinder spielen mit dem Hund im Park. "
    "Am Nachmittag fahren wir mit dem Zug ans Meer."
)
# 你好，很高兴认识你。今天我们一起去公园。 Debian's espeak-ng reads no Chinese characters, only pinyin.
CHINESE = "ni3hao3, hen3gao1xing4 ren4shi5 ni3. jin1tian1 wo3men5 yi4qi3 qu4 gong1yuan2."

CODECS = {".mp3": "libmp3lame", ".m4a": "aac", ".opus": "libopus", ".flac": "flac", ".wav": "pcm_s16le"}


def missing(debian: Path) -> list[str]:
    """What has to be fetched first, one sentence each."""
    debian_names = [name for name, file in DEBIAN_PACKAGES.items() if not (debian / file).exists()]
    python_names = [name for name, module in PYTHON_PACKAGES.items() if importlib.util.find_spec(module) is None]
    programs = [] if shutil.which("espeak-ng") else ["espeak-ng"]
    return [
        *(f"Debian package {name} is not unpacked there." for name in debian_names),
        *(f"Python package {name} is not installed." for name in python_names),
        *(f"Program {name} is not on the PATH." for name in programs),
    ]


# --- originals ---------------------------------------------------------------------------------------------------


def qt_resource(file: Path, ending: str) -> bytes:
    """The one member of a Qt resource file (.rcc) whose path ends like this.

    The format is that of Qt's rcc: a header of big-endian offsets, a tree of nodes, names in UTF-16, and data with
    their length in front, compressed by zlib where flag 1 is set. Flag 2 marks a folder.
    """
    data = file.read_bytes()
    version, tree, payload, names = struct.unpack_from(">4I", data, 4)
    node_bytes = 14 if version < 2 else 22
    found: list[bytes] = []

    def walk(node: int, folder: str) -> None:
        at = tree + node * node_bytes
        name_at, flags, first, second = struct.unpack_from(">IHII", data, at)
        n_chars = struct.unpack_from(">H", data, names + name_at)[0]
        start = names + name_at + 6
        path = folder + (data[start : start + 2 * n_chars].decode("utf-16-be") if node else "")
        if flags & 2:
            for child in range(second, second + first):
                walk(child, path + "/")
        elif path.endswith("/" + ending):
            n_bytes = struct.unpack_from(">I", data, payload + second)[0]
            body = data[payload + second + 4 : payload + second + 4 + n_bytes]
            found.append(zlib.decompress(body[4:]) if flags & 1 else body)

    walk(0, "")
    if len(found) != 1:
        raise SystemExit(f"{file.name} holds {len(found)} files that end in {ending}; another version is needed.")
    return found[0]


@dataclass(frozen=True)
class Originals:
    """Where pictures, sounds and voices come from. debian: the folder the packages were unpacked in."""

    debian: Path

    def picture(self, name: str) -> Image.Image:
        package, file = PICTURES[name]
        if package in PYTHON_PACKAGES.values():
            spec = importlib.util.find_spec(package)
            assert spec is not None and spec.origin is not None  # missing() has looked
            data = (Path(spec.origin).parent / file).read_bytes()
        else:
            data = qt_resource(self.debian / GCOMPRIS.format(package), file)
        return Image.open(io.BytesIO(data)).convert("RGB")

    def gcompris(self, activity: str, file: str, rate_hz: int) -> np.ndarray:
        return decode(io.BytesIO(qt_resource(self.debian / GCOMPRIS.format(activity), file)), rate_hz)

    def prompt(self, name: str, rate_hz: int = SPEECH_RATE_HZ) -> np.ndarray:
        return decode(self.debian / ASTERISK.format(name), rate_hz, "g722")


def pico(text: str, voice: str, rate_hz: int) -> np.ndarray:
    """Speech by SVOX Pico, each time in a process of its own: what it says depends on what was said before."""
    return speak([sys.executable, "-m", "py_nanotts", text, "-v", voice, "-o"], rate_hz)


def espeak(text: str, voice: str, words_per_minute: int, rate_hz: int) -> np.ndarray:
    return speak(["espeak-ng", text, "-v", voice, "-s", str(words_per_minute), "-w"], rate_hz)


def speak(command: list[str], rate_hz: int) -> np.ndarray:
    """What a command-line synthesizer writes into the file named last."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        subprocess.run([*command, str(wav)], check=True)
        return decode(wav, rate_hz)


# --- sound -------------------------------------------------------------------------------------------------------


def decode(file: Path | io.BytesIO, rate_hz: int, form: str | None = None) -> np.ndarray:
    """A sound as (n,) float32 mono at rate_hz."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
    with av.open(file, format=form) as container:
        parts = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    parts += resampler.resample(None)
    return np.concatenate([part.to_ndarray().reshape(-1) for part in parts])


def audio_frame(samples: np.ndarray, rate_hz: int) -> av.AudioFrame:
    pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
    frame.sample_rate = rate_hz
    return frame


def fade(samples: np.ndarray, part: float) -> np.ndarray:
    """The same sound, rising and falling over `part` of its length at either end."""
    n = int(part * len(samples))
    ramp = np.ones(len(samples), np.float32)
    ramp[:n] = np.linspace(0, 1, n)
    ramp[len(ramp) - n :] = np.linspace(1, 0, n)
    return samples * ramp


def level(samples: np.ndarray) -> np.ndarray:
    """The same sound around zero, its peak 3 dB under full scale, its ends without a click."""
    centred = fade(samples - samples.mean(), 0.005)
    return centred * (0.7 / np.abs(centred).max())


def even(samples: np.ndarray) -> np.ndarray:
    """A quiet sound with a few loud drops in it, made audible: the drops pressed down, the rest lifted four times."""
    return 0.7 * np.tanh(4 * level(samples))


def place(sounds: dict[float, np.ndarray], duration_s: float) -> np.ndarray:
    """Sounds laid out on silence; the keys are their starts in seconds. What reaches past the end is cut."""
    track = np.zeros(round(duration_s * CLIP_RATE_HZ), np.float32)
    for start_s, sound in sounds.items():
        start = round(start_s * CLIP_RATE_HZ)
        track[start : start + len(sound)] += sound[: len(track) - start]
    return track


def write_sound(file: Path, samples: np.ndarray, rate_hz: int) -> None:
    with av.open(file, "w", options={"fflags": "bitexact"}) as container:
        stream = container.add_stream(CODECS[file.suffix], rate=rate_hz, layout="mono")
        if file.suffix not in (".flac", ".wav"):
            stream.bit_rate = BIT_RATE
        container.mux(stream.encode(audio_frame(level(samples), rate_hz)))
        container.mux(stream.encode(None))


# --- clips -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """A camera move over a photo: from one view to another, each (centre x, centre y, width) in parts of the photo."""

    picture: str
    duration_s: float
    start: tuple[float, float, float]
    end: tuple[float, float, float]

    def frames(self, photo: Image.Image, size: tuple[int, int]) -> Iterator[Image.Image]:
        n_frames = round(self.duration_s * CLIP_FPS)
        for i in range(n_frames):
            x, y, width = (a + (b - a) * i / (n_frames - 1) for a, b in zip(self.start, self.end, strict=True))
            w = width * photo.width
            h = w * size[1] / size[0]
            left = min(max(x * photo.width - w / 2, 0), photo.width - w)
            top = min(max(y * photo.height - h / 2, 0), photo.height - h)
            yield photo.resize(size, Image.Resampling.LANCZOS, box=(left, top, left + w, top + h))


def write_clip(
    file: Path, originals: Originals, scenes: list[Scene], track: np.ndarray | None = None, *, phone: bool = False
) -> None:
    """An MP4 with H.264 and AAC. phone: held upright, so stored lying down with a note to turn it by 90 degrees."""
    size = CLIP_SIZE[::-1] if phone else CLIP_SIZE
    with av.open(file, "w", options={"fflags": "bitexact", "movflags": "faststart"}) as container:
        video = container.add_stream("libx264", rate=CLIP_FPS, options=X264)
        video.width, video.height, video.pix_fmt = *CLIP_SIZE, "yuv420p"
        if phone:
            video.set_display_rotation(-90)
        if track is not None:
            audio = container.add_stream("aac", rate=CLIP_RATE_HZ, layout="mono")
            audio.bit_rate = BIT_RATE
        for scene in scenes:
            for image in scene.frames(originals.picture(scene.picture), size):
                stored = image.transpose(Image.Transpose.ROTATE_90) if phone else image
                container.mux(video.encode(av.VideoFrame.from_image(stored)))
        container.mux(video.encode(None))
        if track is not None:
            container.mux(audio.encode(audio_frame(track, CLIP_RATE_HZ)))
            container.mux(audio.encode(None))


# --- what there is -----------------------------------------------------------------------------------------------


def make_photos(originals: Originals, out: Path) -> None:
    for name in PHOTOS:
        photo = originals.picture(Path(name).stem)
        photo.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        photo.save(out / name, quality=85, **({"method": 6} if name.endswith(".webp") else {"optimize": True}))


def make_sounds(originals: Originals, out: Path) -> None:
    def noise(name: str, rate_hz: int = CLIP_RATE_HZ) -> np.ndarray:
        return originals.gcompris("memory-sound", f"LR{name}_LA_cut.ogg", rate_hz)

    pause = np.zeros(CLIP_RATE_HZ // 3, np.float32)
    write_sound(out / "barking.mp3", np.concatenate([noise("Bark_1"), pause, noise("Bark_3")]), CLIP_RATE_HZ)
    write_sound(out / "rain.opus", even(noise("Rain_in_garden_01", 48_000)), 48_000)
    write_sound(out / "train.m4a", noise("Train_slowing_down_01"), CLIP_RATE_HZ)
    write_sound(out / "applause.flac", noise("Applauses_1", 22_050), 22_050)
    rotor = originals.gcompris("guessnumber", "helicopter.wav", 22_050)
    write_sound(out / "helicopter.wav", np.tile(rotor, 4), 22_050)
    music = originals.prompt("moh/manolo_camp-morning_coffee")[10 * SPEECH_RATE_HZ : 22 * SPEECH_RATE_HZ]
    write_sound(out / "music.mp3", fade(music, 0.05), SPEECH_RATE_HZ)


def make_speech(originals: Originals, out: Path) -> None:
    write_sound(out / "all-busy.mp3", originals.prompt("sounds/en_US_f_Allison/tt-allbusy"), SPEECH_RATE_HZ)
    write_sound(out / "company.m4a", originals.prompt("sounds/en_US_f_Allison/basic-pbx-ivr-main"), SPEECH_RATE_HZ)
    write_sound(out / "occupe.opus", originals.prompt("sounds/fr_CA_f_June/tt-allbusy"), SPEECH_RATE_HZ)
    write_sound(out / "query.wav", pico(QUERY, "en-GB", SPEECH_RATE_HZ), SPEECH_RATE_HZ)
    write_sound(out / "morgen.mp3", pico(GERMAN, "de-DE", SPEECH_RATE_HZ), SPEECH_RATE_HZ)
    write_sound(out / "nihao.flac", espeak(CHINESE, "cmn-latn-pinyin+f3", 125, SPEECH_RATE_HZ), SPEECH_RATE_HZ)


def make_clips(originals: Originals, out: Path) -> None:
    def noise(name: str) -> np.ndarray:
        return originals.gcompris("memory-sound", f"LR{name}_LA_cut.ogg", CLIP_RATE_HZ)

    bark, bark_again, rain = level(noise("Bark_1")), level(noise("Bark_3")), even(noise("Rain_in_garden_01"))
    write_clip(
        out / "dog.mp4",
        originals,
        [Scene("dog", 6, (0.5, 0.4, 1.0), (0.72, 0.25, 0.5))],
        place({0.4: bark, 2.9: bark_again}, 6),
    )
    write_clip(
        out / "coffee-and-rain.mp4",
        originals,
        [Scene("coffee", 6, (0.45, 0.35, 0.55), (0.5, 0.5, 1.0))],
        place({0.0: fade(rain, 0.2), 2.8: fade(rain, 0.2)}, 6),
    )
    write_clip(
        out / "astronaut-and-dog.mp4",
        originals,
        [
            Scene("astronaut", 4, (0.4, 0.3, 1.0), (0.38, 0.3, 0.75)),
            Scene("dog", 4, (0.55, 0.3, 0.9), (0.65, 0.27, 0.6)),
        ],
        place({0.0: fade(rain[: 4 * CLIP_RATE_HZ], 0.1), 4.5: bark_again}, 8),
    )
    write_clip(
        out / "palace.mp4",
        originals,
        [Scene("pagoda", 6, (0.6, 0.42, 1.0), (0.3, 0.3, 0.7))],
        place({0.5: level(pico(ENGLISH, "en-GB", CLIP_RATE_HZ))}, 6),
    )
    write_clip(
        out / "kitten-on-the-phone.mp4",
        originals,
        [Scene("kitten", 5, (0.48, 0.5, 0.42), (0.4, 0.42, 0.34))],
        place({1.0: level(originals.prompt("sounds/en_US_f_Allison/tt-weasels", CLIP_RATE_HZ))}, 5),
        phone=True,
    )
    write_clip(out / "silent-horses.mp4", originals, [Scene("horses", 6, (0.35, 0.55, 0.7), (0.65, 0.55, 0.7))])


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the sample files again.")
    parser.add_argument("--debian", type=Path, required=True, help="folder the Debian packages were unpacked in")
    parser.add_argument("--out", type=Path, default=HERE, help="where to write (default: beside this file)")
    options = parser.parse_args()
    if problems := missing(options.debian):
        sys.exit("\n".join(problems))
    options.out.mkdir(parents=True, exist_ok=True)
    originals = Originals(options.debian)
    for make in (make_photos, make_sounds, make_speech, make_clips):
        make(originals, options.out)


if __name__ == "__main__":
    main()
