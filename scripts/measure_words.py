"""Measure how well words in pictures are read, and whether they find the picture, in English and Chinese.

    python -m scripts.measure_words [--n 25] [--seed 0]

Needs the extra `ocr`. Each picture shows three lines of the page's texts, drawn from a seed, in one of a few fonts, as
a screen would (plain ground) and as a photo would: the same in perspective, on an uneven ground, blurred, with noise,
as JPEG. Writes docs/words.json, which `scripts.tables` puts into documents:

* `characters`: the share of characters that are right, one less the edit distance over the length, spaces left out.
* `lines`: the share of lines that are read without any error, spaces left out.
* `found`: the share of pictures that come first, among all of their kind, by the words of one of their lines.
* `seconds`: CPU time a picture.
* `invented`: the share of sample photos, none of which has words in it, in which some were read.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from engines import words
from engines.evaluation.metrics import edit_distance
from engines.media import ocr
from engines.paths import ASSETS

OUT = Path(__file__).resolve().parents[1] / "docs" / "words.json"
WAYS = ("rendered", "photographed")
FONTS = {"en": ("DejaVuSans.ttf", "DejaVuSerif.ttf"), "zh": ("NotoSansCJK-Regular.ttc", "NotoSerifCJK-Regular.ttc")}
"""Font files by the names under which Pillow finds them."""
SIZE = (960, 540)
N_LINES = 3
LETTERS = {"en": (12, 36), "zh": (5, 18)}
GROUNDS = ((255, 255, 255), (250, 240, 210), (20, 60, 120), (30, 30, 30), (0, 110, 60))


def texts(language: str) -> list[str]:
    """Lines to be shown: texts of the page in a language."""
    read = json.loads((ASSETS / "locales" / f"{language}.json").read_text(encoding="utf-8"))
    least, most = LETTERS[language]
    kept = (text for key, text in sorted(read.items()) if key.startswith("ui.") and not set(text) & set("{}<>\n`"))
    return list(dict.fromkeys(text for text in kept if least <= len(text) <= most))


def font_of(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of this machine, by name."""
    return ImageFont.truetype(name, size)


def rendered(lines: Sequence[str], language: str, rng: np.random.Generator) -> Image.Image:
    """Lines on a plain ground, as on a screen or a slide."""
    ground = GROUNDS[rng.integers(len(GROUNDS))]
    picture = Image.new("RGB", SIZE, ground)
    drawing = ImageDraw.Draw(picture)
    size = int(rng.integers(26, 44))
    font = font_of(str(rng.choice(FONTS[language])), size)
    ink = (255, 255, 255) if sum(ground) < 384 else (20, 20, 20)
    for n, line in enumerate(lines):
        drawing.text((50, 60 + n * 3 * size), line, font=font, fill=ink)
    return picture


def photographed(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A picture as a photo shows it: from the side, unevenly lit, blurred, with noise, as JPEG."""
    width, height = picture.size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    moved = corners + rng.uniform(-0.07, 0.07, (4, 2)) * (width, height)
    seen = picture.transform(
        picture.size, Image.Transform.PERSPECTIVE, _perspective(moved, corners), Image.Resampling.BICUBIC,
        fillcolor=(120, 110, 100),
    )  # fmt: skip
    pixels = np.asarray(seen.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.6, 1.6)))), np.float32)
    left, right = rng.uniform(0.6, 1.1, 2)
    light = np.linspace(left, right, width)[None, :, None]
    noisy = pixels * light + rng.normal(0.0, 9.0, pixels.shape)
    held = io.BytesIO()
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(held, "JPEG", quality=60)
    return Image.open(held).convert("RGB")


def _perspective(seen: np.ndarray, corners: np.ndarray) -> list[float]:
    """The eight numbers with which Pillow finds, for a place in the new picture, the one in the old. (4, 2) each."""
    rows, right = [], []
    for (x, y), (u, v) in zip(seen, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    solved: list[float] = np.linalg.solve(np.array(rows), np.array(right)).tolist()
    return solved


def measured(language: str, way: str, n: int, seed: int) -> dict[str, float]:
    """The figures of n pictures."""
    rng = np.random.default_rng(seed)
    pool = texts(language)
    shown, found = [], []
    spent_s = 0.0
    for _ in range(n):
        lines = [pool[i] for i in rng.choice(len(pool), N_LINES, replace=False)]
        picture = rendered(lines, language, rng)
        if way == "photographed":
            picture = photographed(picture, rng)
        began_s = time.process_time()
        found.append(ocr.lines_of(np.asarray(picture)))
        spent_s += time.process_time() - began_s
        shown.append(lines)
    right, read = (["".join("".join(lines).split()) for lines in each] for each in (shown, found))
    bare = [{"".join(line.split()) for line in lines} for lines in found]
    n_lines = sum("".join(line.split()) in bare[i] for i, lines in enumerate(shown) for line in lines)
    firsts = 0
    for i, lines in enumerate(shown):
        query = words.query_parts(str(rng.choice(lines)))
        fits = [words.fit(query, "\n".join(other)) for other in found]
        firsts += fits[i] > 0.0 and fits[i] == max(fits)
    return {
        "n": n,
        "characters": round(1.0 - sum(map(edit_distance, right, read)) / sum(map(len, right)), 4),
        "lines": round(n_lines / (n * N_LINES), 4),
        "found": round(firsts / n, 4),
        "seconds": round(spent_s / n, 2),
    }


def invented() -> dict[str, float]:
    """In how many of the sample photos words are read, though none has any."""
    photos = sorted((ASSETS / "samples").glob("*.jpg")) + sorted((ASSETS / "samples").glob("*.webp"))
    n_with = sum(bool(ocr.lines_of(np.asarray(Image.open(photo).convert("RGB")))) for photo in photos)
    return {"n": len(photos), "invented": round(n_with / len(photos), 4)}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("scripts.measure_words", description="Measure how words in pictures are read.")
    parser.add_argument("--n", type=int, default=25, help="pictures of each language and way (default: 25)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    if not ocr.is_installed():
        print(ocr.missing().en)
        return 2
    found: dict[str, Any] = {"seed": options.seed}
    for language in FONTS:
        for way in WAYS:
            found[f"{language}.{way}"] = measured(language, way, options.n, options.seed)
            print(language, way, found[f"{language}.{way}"], flush=True)
    found["photos"] = invented()
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(found["photos"])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
