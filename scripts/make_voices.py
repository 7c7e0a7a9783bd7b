"""Make synthetic speech for training with espeak-ng (Debian package, GPL-3; its output is free).

    python -m scripts.make_voices DATA RUN

reads translated sentences and English captions aloud and stores them in RUN/voices, in the layout of DATA/speech. The
voices combine the languages' accents with espeak's speaker variants, at random rates and pitches.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

from engines import archives
from engines.protocol import RATE_HZ, Sound
from engines.text import normalise

CORPUS = "synthetic"
SENTENCES = {"de": 900, "fr": 1000, "zh": 1000}
"""Sentences of the text pairs to read, so that Whisper's other languages are not forgotten."""
CAPTIONS = 5000
"""English captions to read, for search by a spoken description."""
LIST = Path("speech/manifest.jsonl.gz")
"""Written last: where it exists, the recording is complete."""
BIT_RATE = 12_000
"""Bit rate of Opus, bits per second; it loses nothing of espeak's voices."""

ACCENTS = {
    "en": ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029"),
    "de": ("de",),
    "fr": ("fr", "fr-be", "fr-ch"),
    "zh": ("cmn-latn-pinyin",),  # Debian's plain cmn has no character dictionary; pinyin is spoken right
}
VARIANTS = ("", "+m1", "+m2", "+m3", "+m4", "+m5", "+m6", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5", "+klatt", "+Annie")


def speak(text: str, language: str, rng: np.random.Generator) -> Sound | None:
    """Speak a sentence in a random voice; None where espeak-ng (for Chinese, pypinyin) is missing or gives nothing."""
    program = shutil.which("espeak-ng")
    if program is None:
        return None
    if language == "zh":
        try:
            from pypinyin import Style, lazy_pinyin
        except ImportError:
            return None
        text = " ".join(lazy_pinyin(text, style=Style.TONE3, neutral_tone_with_five=True))
    accent = str(rng.choice(ACCENTS[language]))
    variant = str(rng.choice(VARIANTS)) if accent in ("en-us", "de", "fr", "cmn-latn-pinyin") else ""
    words_per_minute, pitch = int(165 * rng.uniform(0.85, 1.2)), int(rng.uniform(35, 65))
    done = subprocess.run(
        [program, "-v", accent + variant, "-s", str(words_per_minute), "-p", str(pitch), "--stdin", "--stdout"],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    return None if len(done.stdout) < 100 else archives.decode_sound(done.stdout, "synthetic speech")


def synthesise(data: Path) -> Iterator[tuple[str, str, Sound]]:
    """Yield (text, language, sound) of everything that is spoken; nothing where espeak-ng is missing."""
    rng = np.random.default_rng(7)
    for language, n in SENTENCES.items():
        pairs = [p for p in archives.pairs(data, f"en-{language}", "train") if 8 <= len(p.target) <= 120]
        for i in rng.permutation(len(pairs))[:n]:
            if (sound := speak(pairs[i].target, language, rng)) is not None:
                yield pairs[i].target, language, sound
    photos = archives.photos(data, "train")
    for i in rng.permutation(len(photos))[:CAPTIONS]:
        caption = str(rng.choice(photos[i].captions["en"]))
        if (sound := speak(caption, "en", rng)) is not None:
            yield caption, "en", sound


def record(data: Path, folder: Path) -> int:
    """Store what `synthesise` reads as `engines.archives` expects speech; returns the number of clips."""
    (folder / "speech").mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    with tarfile.open(folder / "speech" / "speech-00.tar", "w") as tar:
        for text, language, sound in synthesise(data):
            member = tarfile.TarInfo(f"{CORPUS}-{len(lines):05}.opus")
            encoded = opus(sound)
            member.size = len(encoded)
            tar.addfile(member, io.BytesIO(encoded))
            line = {"id": Path(member.name).stem, "text": normalise(text, language), "raw": text, "lang": language}
            lines.append(json.dumps(line | {"corpus": CORPUS, "split": "train"}, ensure_ascii=False))
    with gzip.open(folder / LIST, "wt", encoding="utf-8") as file:
        file.write("\n".join(lines))
    return len(lines)


def opus(sound: Sound) -> bytes:
    buffer = io.BytesIO()
    samples = (np.clip(sound.samples, -1.0, 1.0) * 32767).astype(np.int16)
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, layout="mono")
        stream.bit_rate = BIT_RATE
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description="Read sentences and captions with synthetic voices.")
    parser.add_argument("data", type=Path)
    parser.add_argument("run", type=Path)
    args = parser.parse_args()
    print(f"{record(args.data, args.run / 'voices')} clips in {args.run / 'voices'}")


if __name__ == "__main__":
    main()
