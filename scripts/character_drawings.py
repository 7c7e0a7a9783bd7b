"""Small characters of the world's scripts as if by many hands: glyphs of free fonts, bent, stretched and thinned.

The fonts are those of Debian's fonts-noto-core, fonts-noto-cjk (both SIL OFL 1.1) and fonts-dejavu (Bitstream Vera's
licence); only the maker of the Lab's material needs them. A split is made of whole scripts, and scripts that share
shapes (Greek and Latin, Telugu and Kannada) are on the same side of it, so what is tested was never seen.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

FONTS = Path("/usr/share/fonts")
DRAWING_PX = 28
N_DRAWINGS, N_CHARACTERS = 20, 24
"""Drawings of each character; characters of a script at most."""

_PX = 112  # side at which glyphs are bent: four times the drawing's
_ALIKE = 0.72
"""Overlap (intersection over union) from which on two characters of a script are one and the same drawn small."""
_NO_CHARACTER = "\U0010fffd"


@dataclass(frozen=True)
class Script:
    """A script: its split, the parts of its fonts' file names, and its letters as pairs of first and last."""

    split: str
    fonts: tuple[str, ...]
    letters: tuple[tuple[int, int], ...]


def _noto(split: str, name: str, *letters: tuple[int, int]) -> Script:
    return Script(split, (f"NotoSans{name}-", f"NotoSerif{name}-", f"NotoSans{name}UI-"), letters)


_WESTERN = ("NotoSans-", "NotoSerif-", "DejaVuSans-", "DejaVuSerif-", "DejaVuSansMono-")
_CJK = ("NotoSansCJK-", "NotoSerifCJK-")

SCRIPTS: Mapping[str, Script] = {
    "Latin": Script("train", _WESTERN, ((0x41, 0x5A), (0x61, 0x7A))),
    "Greek": Script("train", _WESTERN, ((0x391, 0x3A9), (0x3B1, 0x3C9))),
    "Cyrillic": Script("train", _WESTERN, ((0x410, 0x42F), (0x430, 0x44F))),
    "Coptic": _noto("train", "Coptic", (0x2C80, 0x2CB1)),
    "Gothic": _noto("train", "Gothic", (0x10330, 0x10349)),
    "Old Italic": _noto("train", "OldItalic", (0x10300, 0x1031F)),
    "Runic": _noto("train", "Runic", (0x16A0, 0x16EA)),
    "Lycian": _noto("train", "Lycian", (0x10280, 0x1029C)),
    "Georgian": Script("train", ("NotoSansGeorgian-", "NotoSerifGeorgian-", "DejaVuSans-"), ((0x10D0, 0x10F0),)),
    "Hebrew": Script("train", ("NotoSansHebrew-", "NotoSerifHebrew-", "NotoRashiHebrew-"), ((0x5D0, 0x5EA),)),
    "Arabic": Script("train", ("NotoSansArabic-", "NotoNaskhArabic-", "NotoKufiArabic-"), ((0x621, 0x64A),)),
    "Devanagari": _noto("train", "Devanagari", (0x905, 0x939)),
    "Gujarati": _noto("train", "Gujarati", (0xA85, 0xAB9)),
    "Bengali": _noto("train", "Bengali", (0x985, 0x9B9)),
    "Telugu": _noto("train", "Telugu", (0xC05, 0xC39)),
    "Kannada": _noto("train", "Kannada", (0xC85, 0xCB9)),
    "Thai": Script("train", ("NotoSansThai-", "NotoSerifThai-", "NotoLoopedThai-"), ((0xE01, 0xE2E),)),
    "Lao": Script("train", ("NotoSansLao-", "NotoSerifLao-", "NotoLoopedLao-"), ((0xE81, 0xEAE),)),
    "Ethiopic": _noto("train", "Ethiopic", (0x1200, 0x1357)),
    "Cherokee": _noto("train", "Cherokee", (0x13A0, 0x13F4)),
    "Canadian syllabics": _noto("train", "CanadianAboriginal", (0x1401, 0x1670)),
    "Hiragana": Script("train", _CJK, ((0x3042, 0x3093),)),
    "Katakana": Script("train", _CJK, ((0x30A2, 0x30F3),)),
    "Bopomofo": Script("train", _CJK, ((0x3105, 0x3129),)),
    "Tamil": _noto("valid", "Tamil", (0xB85, 0xBB9)),
    "Malayalam": _noto("valid", "Malayalam", (0xD05, 0xD39)),
    "Glagolitic": _noto("valid", "Glagolitic", (0x2C00, 0x2C2E)),
    "Osmanya": _noto("valid", "Osmanya", (0x10480, 0x1049D)),
    "N'Ko": _noto("valid", "NKo", (0x7CA, 0x7EA)),
    "Vai": _noto("valid", "Vai", (0xA500, 0xA60B)),
    "Yi": _noto("valid", "Yi", (0xA000, 0xA48C)),
    "Armenian": _noto("test", "Armenian", (0x531, 0x556), (0x561, 0x586)),
    "Khmer": _noto("test", "Khmer", (0x1780, 0x17A2)),
    "Myanmar": _noto("test", "Myanmar", (0x1000, 0x1021)),
    "Sinhala": _noto("test", "Sinhala", (0xD85, 0xDC6)),
    "Javanese": _noto("test", "Javanese", (0xA984, 0xA9B2)),
    "Phoenician": _noto("test", "Phoenician", (0x10900, 0x10915)),
    "Shavian": _noto("test", "Shavian", (0x10450, 0x1047F)),
    "Tifinagh": _noto("test", "Tifinagh", (0x2D30, 0x2D65)),
}


@dataclass(frozen=True, eq=False)
class Character:
    """A character and its drawings, (n, 28, 28) uint8, 1 is stroke."""

    script: str
    name: str
    drawings: np.ndarray


def draw(
    names: Sequence[str], rng: np.random.Generator, *, n_characters: int = N_CHARACTERS, n_drawings: int = N_DRAWINGS
) -> Iterator[Character]:
    """The characters of the named scripts, as far as their fonts are installed."""
    for name in names:
        script = SCRIPTS[name]
        fonts = [font for path in _files(script.fonts) if (font := _font(path)) is not None]
        if not fonts:
            continue
        points = [p for first, last in script.letters for p in range(first, last + 1)]
        kept: dict[str, list[Image.Image]] = {}
        for point in rng.permutation(points):
            glyphs = [glyph for font in fonts if (glyph := _glyph(font, chr(point))) is not None]
            if glyphs and not any(_alike(glyphs[0], others[0]) for others in kept.values()):
                kept[chr(point)] = glyphs
            if len(kept) == n_characters:
                break
        for letter in sorted(kept):
            drawn = [_bent(kept[letter][rng.integers(len(kept[letter]))], rng) for _ in range(n_drawings)]
            yield Character(name, unicodedata.name(letter), np.stack(drawn))


@functools.cache
def _files(names: tuple[str, ...]) -> list[Path]:
    """The upright fonts whose file names begin so, regular ones first."""
    found = [path for path in FONTS.rglob("*.tt[fc]") if path.name.startswith(names)]
    return sorted((p for p in found if p.stem.endswith(("-Regular", "-Bold", "Sans", "Serif", "Mono"))), key=_rank)


def _rank(path: Path) -> tuple[bool, str]:
    return path.stem.endswith("-Bold"), path.name


@functools.cache
def _font(path: Path) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(path, _PX, layout_engine=ImageFont.Layout.BASIC)
    except OSError:
        return None


def _glyph(font: ImageFont.FreeTypeFont, letter: str) -> Image.Image | None:
    """The letter, its longer side three quarters of the picture's; None where it has no letter or the font lacks it."""
    if unicodedata.category(letter) not in ("Lu", "Ll", "Lo", "Nd", "Nl"):
        return None
    left, top, right, bottom = (round(x) for x in font.getbbox(letter))
    width, height = right - left, bottom - top
    if min(width, height) < 2 or bytes(font.getmask(letter)) == bytes(font.getmask(_NO_CHARACTER)):
        return None
    glyph = Image.new("L", (width, height))
    ImageDraw.Draw(glyph).text((-left, -top), letter, fill=255, font=font)
    scale = 0.75 * _PX / max(width, height)
    glyph = glyph.resize((max(2, round(width * scale)), max(2, round(height * scale))), Image.Resampling.BICUBIC)
    square = Image.new("L", (_PX, _PX))
    square.paste(glyph, ((_PX - glyph.width) // 2, (_PX - glyph.height) // 2))
    return square


def _alike(a: Image.Image, b: Image.Image) -> bool:
    """Whether two glyphs, a little thickened, cover the same ground."""
    first, second = (np.asarray(x.resize((32, 32)).filter(ImageFilter.MaxFilter(3))) > 127 for x in (a, b))
    return bool((first & second).sum() > _ALIKE * (first | second).sum())


def _bent(glyph: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """One drawing (28, 28) of a glyph: its strokes thinner, turned, sheared, stretched, moved and bent."""
    ink = np.asarray(glyph).sum(dtype=np.int64)
    for _ in range(rng.integers(0, 4)):
        thinner = glyph.filter(ImageFilter.MinFilter(3))
        if np.asarray(thinner).sum(dtype=np.int64) < 0.5 * ink:  # thin strokes would be lost
            break
        glyph = thinner
    angle, shear = rng.normal(0.0, 0.12), rng.normal(0.0, 0.15)
    width, height = 1.0 / rng.uniform(0.8, 1.2, size=2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[width, shear], [0.0, height]])
    move = rng.normal(0.0, 0.06, size=(2, 1))
    affine = torch.from_numpy(np.concatenate([matrix, move], axis=1)[None]).float()
    grid = F.affine_grid(affine, [1, 1, _PX, _PX], align_corners=False)
    bend = torch.from_numpy(rng.normal(0.0, 0.07, size=(1, 2, 4, 4))).float()
    grid = grid + F.interpolate(bend, (_PX, _PX), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    pixels: Tensor = torch.from_numpy(np.array(glyph, np.float32))[None, None] / 255.0
    small = F.avg_pool2d(F.grid_sample(pixels, grid, align_corners=False), _PX // DRAWING_PX)[0, 0]
    return (small > 0.4).numpy().astype(np.uint8)
