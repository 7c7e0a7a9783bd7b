"""Text files as plain text: the encoding is detected, the markup of HTML and subtitles is removed."""

from __future__ import annotations

import codecs
import re
from html.parser import HTMLParser
from pathlib import Path

import charset_normalizer

from engines.media.opening import open_file
from engines.media.refusals import refusal

SUFFIXES = frozenset((".csv", ".htm", ".html", ".md", ".rst", ".srt", ".txt", ".vtt"))
MAX_BYTES = 2**20
"""Maximum bytes read of a text file, from its beginning."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before that of UTF-16, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHERS = ["gb18030", "big5", "shift_jis", "euc_kr", "cp1251", "cp1252"]
"""What text without a mark is found in, besides UTF-8 and UTF-16; cp1252 holds Latin-1."""
_USUAL = re.compile(r"[\t\n\r -~\u00a0-\u052f\u2010-\u203a\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffee]")
_HALF_WIDTH = re.compile("[\uff61-\uff9f]")
_GB_CHARACTER = re.compile(rb"[\x81-\xfe][\x40-\xfe]")
_DETECTED_BYTES = 2**16
_TIMING = re.compile(r"^\s*(\d+:)?\d+:\d+[.,]\d+\s*-->.*$")
_TAG = re.compile(r"<[^<>\n]{1,80}>|\{\\[^}\n]{1,80}\}")
_HEADS = ("WEBVTT", "NOTE", "STYLE", "REGION")


def load_text(path: Path) -> str:
    """The words of a text file, without the tags of HTML and the times of subtitles. Raises MediaError."""
    with open_file(path) as file:
        try:
            data = file.read(MAX_BYTES)
        except OSError as error:
            raise refusal("damaged", path) from error
    text = decoded(data)
    if text is None:
        raise refusal("no_text", path)
    suffix = path.suffix.lower()
    if suffix in (".htm", ".html"):
        text = _words_of_html(text)
    elif suffix in (".srt", ".vtt"):
        text = _words_of_subtitles(text)
    if not text.strip():
        raise refusal("no_text", path)
    return text


def decoded(data: bytes) -> str | None:
    """Bytes as text; None where they are none. A character that is cut off at the end is left out."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return codecs.getincrementaldecoder(encoding)("replace").decode(data)
    if b"\0" in data:
        utf16 = _utf16(data)
        return None if utf16 is None else codecs.getincrementaldecoder(utf16)("replace").decode(data)
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        detected = _detected(data[:_DETECTED_BYTES])
        return None if detected is None else codecs.getincrementaldecoder(detected)("replace").decode(data)


def _detected(data: bytes) -> str | None:
    """The encoding of text without a mark that is no UTF-8.

    A few Chinese words are found to be half-width katakana as well, which nobody writes by themselves. Chinese and
    Japanese in UTF-16 have no zero bytes; only what is no other text is taken for that.
    """
    found = charset_normalizer.from_bytes(data, cp_isolation=_OTHERS).best()
    if found is None:
        return _utf16(data)
    if found.encoding == "shift_jis" and _HALF_WIDTH.search(str(found)):
        characters = _GB_CHARACTER.findall(data)
        if characters and sum(map(_is_common_gb, characters)) > 0.9 * len(characters):
            return "gb18030"
    return found.encoding


def _is_common_gb(character: bytes) -> bool:
    """Whether two bytes are punctuation or one of the 3,755 most common characters of GB 2312."""
    return character[0] in (0xA1, 0xA3) or 0xB0 <= character[0] <= 0xD7


def _utf16(data: bytes) -> str | None:
    """UTF-16 without a mark, told by its characters: in the wrong byte order they lie all over the table."""
    shares = {}
    for encoding in ("utf-16-le", "utf-16-be"):
        text = data[: len(data) // 2 * 2].decode(encoding, "replace")
        shares[encoding] = len(_USUAL.findall(text)) / max(1, len(text))
    best = max(shares, key=lambda encoding: shares[encoding])
    return best if shares[best] > 0.9 else None


class _Words(HTMLParser):
    """Collects what a page shows as text, a line for each block."""

    _HIDDEN = frozenset(("script", "style", "template", "noscript", "svg"))
    _INLINE = frozenset(("a", "abbr", "b", "code", "em", "i", "img", "s", "small", "span", "strong", "sub", "sup", "u"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._n_hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._HIDDEN:
            self._n_hidden += 1
        elif tag not in self._INLINE:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._HIDDEN:
            self._n_hidden = max(0, self._n_hidden - 1)
        elif tag not in self._INLINE:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._n_hidden == 0:
            self.parts.append(re.sub(r"\s+", " ", data))


def _words_of_html(text: str) -> str:
    words = _Words()
    words.feed(text)
    words.close()
    return re.sub(r"\s*\n\s*", "\n", "".join(words.parts)).strip()


def _words_of_subtitles(text: str) -> str:
    kept = []
    lines = text.splitlines()
    for i, line in enumerate(lines):
        follows_timing = i + 1 < len(lines) and _TIMING.match(lines[i + 1])
        if _TIMING.match(line) or follows_timing or line.startswith(_HEADS):
            continue
        kept.append(_TAG.sub("", line))
    return "\n".join(kept)
