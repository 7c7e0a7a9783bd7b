"""Make the Lab's bundled data sets: `python -m scripts.make_lab_data [--out assets/lab]`.

Digits: scikit-learn's handwritten digits (real) and digits spoken by Debian's synthesizers espeak-ng and flite
(synthetic), every voice in one split only. Characters: `scripts.character_drawings`. Needs scikit-learn and the Debian
packages espeak-ng, flite, fonts-noto-core, fonts-noto-cjk and fonts-dejavu; the same versions give the same files.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from engines.lab.data.arrays import N_MELS, sound_codes
from engines.lab.data.datasets import BUNDLED, CHARACTERS, DIGITS, SPLITS
from engines.media import resample
from scripts import character_drawings as drawings

SEED = 10
CLASSES = tuple("0123456789")
WORDS: Mapping[str, tuple[str, ...]] = {
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    "de": ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"),
    "fr": ("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"),
    "zh": ("零", "一", "二", "三", "四", "五", "六", "七", "八", "九"),
}
PINYIN = ("ling2", "yi1", "er4", "san1", "si4", "wu3", "liu4", "qi1", "ba1", "jiu3")
"""What espeak-ng is given for Chinese: Debian's plain cmn has no character dictionary."""
ACCENTS: Mapping[str, tuple[str, ...]] = {
    "en": ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029"),
    "de": ("de",),
    "fr": ("fr", "fr-be", "fr-ch"),
    "zh": ("cmn-latn-pinyin",),
}

FAMILIES = ("man", "woman", "other")
"""Speaker variants of espeak-ng, one of each series of near-copies; the "other" ones whisper, croak or buzz."""
# fmt: off
ESPEAK: Mapping[str, tuple[str, ...]] = {
    "man": (
        "m1", "m2", "m3", "m4", "m5", "m6", "m7", "Alex", "Andy", "Diogo", "Gene", "Jacky", "Lee", "Marco", "Nguyen",
        "adam", "antonio", "boris", "edward", "gustave", "max", "paul", "rob", "travis",
    ),
    "woman": (
        "f1", "f2", "f3", "f4", "f5", "Alicia", "Andrea", "Annie", "anika", "aunty", "belinda", "grandma", "shelby",
        "steph",
    ),
    "other": (
        "croak", "klatt2", "klatt4", "robosoft", "UniRobot", "kaukovalta", "whisper", "whisperf", "Storm", "zac",
    ),
}
# fmt: on
FLITE: Mapping[str, tuple[str, ...]] = {"man": ("awb", "kal16", "rms"), "woman": ("slt",)}
"""flite's voices, of recorded people, speak English only."""
N_TAKES_FLITE = 2


@dataclass(frozen=True)
class Speaker:
    """A voice with its own pace and pitch. accents: language -> what espeak-ng calls it; empty for flite.

    pace: 1 is the synthesizer's own. pitch: 0 to 100 as espeak-ng counts.
    """

    name: str
    family: str
    split: str
    program: str
    accents: Mapping[str, str]
    pace: float
    pitch: float


def speakers(rng: np.random.Generator) -> list[Speaker]:
    """All voices, 60, 20 and 20 % of each family and synthesizer for training, validation and test."""
    found = []
    for program, families in (("espeak-ng", ESPEAK), ("flite", FLITE)):
        for family, names in families.items():
            splits = rng.permutation(_splits(len(names)))
            for name, split in zip(names, splits, strict=True):
                accents = {lang: str(rng.choice(of)) for lang, of in ACCENTS.items()} if program == "espeak-ng" else {}
                pace, pitch = rng.uniform(0.8, 1.25), rng.uniform(35, 65)
                found.append(Speaker(f"{program} {name}", family, SPLITS[split], program, accents, pace, pitch))
    return found


def _splits(n: int) -> np.ndarray:
    """(n,) 0, 1 and 2 in the shares 60, 20 and 20 %; of two or more one is held out for the test."""
    n_test = round(0.2 * n) or min(1, n - 1)
    n_valid = min(round(0.2 * n) or 1, max(0, n - n_test - 1))
    return np.repeat([0, 1, 2], [n - n_valid - n_test, n_valid, n_test])


def speak(speaker: Speaker, language: str, digit: int, rng: np.random.Generator) -> np.ndarray | None:
    """One spoken digit (n,) float32 at 16 kHz, pace and pitch a little different each time; None if it was silent."""
    pace, pitch = speaker.pace * rng.uniform(0.9, 1.1), float(np.clip(speaker.pitch + rng.uniform(-8, 8), 0, 99))
    text = PINYIN[digit] if language == "zh" else WORDS[language][digit]
    name = speaker.name.partition(" ")[2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        if speaker.program == "espeak-ng":
            voice = f"{speaker.accents[language]}+{name}"
            options = ["-v", voice, "-s", str(round(165 * pace)), "-p", str(round(pitch)), "-w", str(path), text]
        else:
            stretch, hz = f"duration_stretch={1 / pace:.3f}", f"int_f0_target_mean={70 + pitch:.0f}"
            options = ["-voice", name, "--setf", stretch, "--setf", hz, "-t", text, "-o", str(path)]
        subprocess.run([speaker.program, *options], check=True, capture_output=True)
        with wave.open(str(path)) as file:
            rate_hz, data = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(data, "<i2").astype(np.float32) / 32768.0
    return resample(samples, rate_hz) if len(samples) else None


def spoken(people: Sequence[Speaker], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Every digit by every voice in every language it has: mel, ends, labels, languages, voices."""
    codes, rows = [], []
    for v, speaker in enumerate(people):
        takes = [(lang, 1) for lang in WORDS] if speaker.accents else [("en", N_TAKES_FLITE)]
        for language, n_takes in takes:
            for digit in list(range(10)) * n_takes:
                samples = speak(speaker, language, digit, rng)
                code = None if samples is None else sound_codes(samples)
                if code is None:
                    print(f"{speaker.name} says nothing for {digit} in {language}; left out")
                    continue
                codes.append(code)
                rows.append((digit, list(WORDS).index(language), v))
    labels, languages, voices = np.array(rows, np.uint8).reshape(-1, 3).T
    return {
        "mel": np.concatenate([np.zeros((0, N_MELS), np.uint8), *codes]),
        "ends": np.cumsum([len(code) for code in codes], dtype=np.int32),
        "labels": labels.copy(),
        "languages": languages.copy(),
        "voices": voices.copy(),
    }


def written(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """scikit-learn's digits, 0 to 16 made 0 to 255, each digit shared out to the splits: pixels, labels, splits."""
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    labels = bunch.target.astype(np.uint8)
    splits = np.zeros(len(labels), np.uint8)
    for digit in range(10):
        of = np.flatnonzero(labels == digit)
        splits[of] = rng.permutation(_splits(len(of)))
    pixels = np.rint(bunch.images * (255.0 / 16.0)).astype(np.uint8)
    return {"pixels": pixels, "picture_labels": labels, "picture_splits": splits}


@functools.cache
def _version(package: str) -> str:
    """The version of a Debian package, "" where there is none."""
    if shutil.which("dpkg-query") is None:
        return ""
    asked = ["dpkg-query", "-W", "-f", "${Version}", package]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout


def make_digits(path: Path, people: Sequence[Speaker], seed: int = SEED) -> None:
    """Write the digits' file with these voices."""
    arrays = {**written(np.random.default_rng([seed, 1])), **spoken(people, np.random.default_rng([seed, 2]))}
    about = {
        "classes": CLASSES,
        "families": FAMILIES,
        "voices": [{"name": p.name, "family": p.family, "split": p.split} for p in people],
        "words": WORDS,
        "sources": {
            "writing": "Optical Recognition of Handwritten Digits, E. Alpaydin, C. Kaynak, UCI 1998, CC BY 4.0; real",
            "speech": "made with espeak-ng and flite; synthetic",
        },
        "made_with": {name: _version(name) for name in ("espeak-ng", "flite")},
        "seed": seed,
    }
    _save(path, arrays, about)


def make_characters(path: Path, scripts: Sequence[str], seed: int = SEED, n_characters: int | None = None) -> None:
    """Write the characters' file with these scripts."""
    n = drawings.N_CHARACTERS if n_characters is None else n_characters
    drawn = list(drawings.draw(scripts, np.random.default_rng([seed, 3]), n_characters=n))
    bits = np.stack([character.drawings for character in drawn])
    arrays = {
        "packed": np.packbits(bits.reshape(*bits.shape[:2], -1), axis=-1),
        "splits": np.array([SPLITS.index(drawings.SCRIPTS[c.script].split) for c in drawn], np.uint8),
    }
    about = {
        "scripts": [character.script for character in drawn],
        "names": [character.name for character in drawn],
        "sources": "glyphs of fonts-noto-core, fonts-noto-cjk (SIL OFL 1.1) and fonts-dejavu (Bitstream Vera), bent",
        "made_with": {name: _version(name) for name in ("fonts-noto-core", "fonts-noto-cjk", "fonts-dejavu")},
        "seed": seed,
    }
    _save(path, arrays, about)


def _save(path: Path, arrays: dict[str, np.ndarray], about: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path, metadata={"material": json.dumps(about, ensure_ascii=False)})
    shapes = ", ".join(f"{key} {tuple(value.shape)}" for key, value in arrays.items())
    print(f"{path.name}: {path.stat().st_size:,} bytes; {shapes}")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="scripts.make_lab_data", description="Make the Lab's bundled material.")
    parser.add_argument("--out", type=Path, default=BUNDLED, help="where to write (default: assets/lab)")
    out = parser.parse_args(argv).out
    missing = [program for program in ("espeak-ng", "flite") if shutil.which(program) is None]
    if missing:
        parser.error(f"{' and '.join(missing)} not found; apt-get install {' '.join(missing)}")
    make_characters(out / CHARACTERS, list(drawings.SCRIPTS))
    make_digits(out / DIGITS, speakers(np.random.default_rng(SEED)))


if __name__ == "__main__":
    main()
