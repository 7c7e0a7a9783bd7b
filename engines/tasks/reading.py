"""Words written in a picture: read beside the model's work, shown with what it says, and answers to questions for them.

The model was not trained to read, so a question for what is written is answered with the words themselves, and one for
a price, a telephone number or an address with what looks like one among them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from engines import media as files
from engines.errors import MediaError
from engines.media import ocr
from engines.protocol import Media, Photo, Sound

STEP_S, MOST = 5.0, 3
"""A clip is read in a frame of every 5 s, at most three."""
NOTHING = {
    "en": "no words can be read there",
    "de": "dort ist kein Text zu lesen",
    "fr": "aucun mot n'y est lisible",
    "zh": "没有可读的文字",
}
_ASKS = re.compile(
    r"^\W*(what|which|read|can you read|please|was|welche[rs]?|qu|que|quel(le)?s?|lis)\b|什么|读|哪", re.IGNORECASE
)
_WORDS = re.compile(
    r"\b(written|text|words|letters|geschrieben|steht|Aufschrift|Text|écrit\w*|texte|inscription)\b|写|文字|什么字|哪些字",
    re.IGNORECASE,
)
_SAYS = re.compile(r"\b(says?|reads?|sagt|dit)\b|说", re.IGNORECASE)
_BEARER = re.compile(
    r"\b(sign|poster|label|screen|slide|page|note|book|shirt|banner|board|display|headline|ticket|card|paper|plate|menu|"
    r"screenshot|Schild|Plakat|Bildschirm|Folie|Seite|panneau|affiche|écran|page)s?\b|牌|屏幕|海报|标语|标签|截图",
    re.IGNORECASE,
)
_PARTS = (
    (r"\b(tele)?phone number\b|\bTelefonnummer\b|\bnuméro de téléphone\b|电话", r"\+?\d[\d \-/().]{4,}\d"),
    (r"\be-?mail\b|邮箱", r"[\w.+-]+@[\w-]+\.[\w.]+\w"),
    (
        r"\b(web ?site|url|web address|Webseite|site web)\b|网址",
        r"(?:https?://|www\.)\S+|\b[\w-]+\.(?:com|org|net|de|fr|cn)\b\S*",
    ),
    (
        r"\b(price|how much (is|are|does|do)|costs?|Preis|kostet|prix|coûte)\b|多少钱|价格",
        r"[$€£¥￥]\s?\d[\d.,]*|\d[\d.,]*\s?(?:[$€£¥￥元]|EUR|USD)",
    ),
)
"""What a question asks for, and what that looks like."""


class Reader:
    """Reads what is written in a medium, from now on, in another process. Nothing where the extra is not installed."""

    def __init__(self, media: Media) -> None:
        self._steps = _reading(media)
        self.lines: tuple[str, ...] = ()
        self.is_done = False
        self.look()

    def look(self) -> bool:
        """Whether all is read; does not wait for it."""
        if not self.is_done:
            try:
                next(self._steps)
            except StopIteration as end:
                self.lines, self.is_done = end.value, True
        return self.is_done


def _reading(media: Media) -> Generator[None, None, tuple[str, ...]]:
    if not ocr.is_installed() or isinstance(media, Sound):
        return ()
    try:
        lines = yield from files.waited(partial(_lines, media))
    except MediaError:  # what else is asked about the medium is answered without
        return ()
    return lines


def _lines(media: Media) -> tuple[str, ...]:
    """The lines written in a photo, or in a few frames of a clip, each once."""
    if isinstance(media, Path):
        found = [line for words in files.stream_words(media, step_s=STEP_S, most=MOST) for line in words.lines]
        return tuple(dict.fromkeys(found))
    assert not isinstance(media, Sound)
    frames: Sequence[np.ndarray] = (media.pixels,) if isinstance(media, Photo) else media.frames
    kept = np.unique(np.linspace(0, max(len(frames) - 1, 0), MOST).round().astype(int))[: len(frames)]
    found = []
    with tempfile.TemporaryDirectory(prefix="fusion-studio-") as folder:
        for i in kept:
            path = Path(folder) / "frame.png"
            Image.fromarray(frames[i]).save(path)
            found += [line for words in files.stream_words(path) for line in words.lines]
    return tuple(dict.fromkeys(found))


def concerns(question: str, *, is_photo: bool) -> bool:
    """Whether a question may be answered from what is written."""
    return _asks_for_words(question, is_photo) or any(re.search(asked, question, re.IGNORECASE) for asked, _ in _PARTS)


def answer(question: str, lines: Sequence[str], language: str, *, is_photo: bool) -> str | None:
    """The answer from the lines that were read; what to install where nothing reads here; None where the question is
    not for words, or what it asks for is not among them."""
    part = _part_asked_for(question, lines)
    if part is not None or not _asks_for_words(question, is_photo):
        return part
    if not ocr.is_installed():
        return ocr.missing().text(language)
    return " / ".join(lines) or NOTHING[language]


def _asks_for_words(question: str, is_photo: bool) -> bool:
    """Whether a question is for what is written. A photo says only what is written in it, a clip what is said."""
    if not _ASKS.search(question):
        return False
    says, bearer = bool(_SAYS.search(question)), bool(_BEARER.search(question))
    if says:
        return is_photo or bearer
    return bool(_WORDS.search(question))


def _part_asked_for(question: str, lines: Sequence[str]) -> str | None:
    """What looks like the price, number or address a question asks for; None where it asks for none, or none is
    there."""
    text = "\n".join(lines)
    for asked, looks in _PARTS:
        if re.search(asked, question, re.IGNORECASE):
            found = dict.fromkeys(match.group(0).strip() for match in re.finditer(looks, text))
            return ", ".join(found) or None
    return None
