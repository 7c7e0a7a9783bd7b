"""Captions of photos against what people wrote: BLEU-4 and CIDEr-D in each language.

Beside each: the same captions moved on by one photo (what the language alone is worth), and for German and Chinese
the model's own English captions, translated.
"""

from __future__ import annotations

from engines.archives import PhotoRecord, photos
from engines.evaluation.harness import REASONS, Harness, Row, Rows, attempt, skipped
from engines.evaluation.metrics import caption_bleu, cider, require_bleu
from engines.text import normalise

LANGUAGES = ("en", "zh", "de")


def caption_rows(harness: Harness) -> Rows:
    """`caption.<corpus>.<language>.{bleu4,cider}` for the languages people described the photos in."""
    require_bleu()  # before ten minutes of captions that nothing could score
    rows: Rows = {}
    for corpus, own in harness.by_corpus(photos(harness.data, harness.split)):
        english: dict[str, str] = {}
        for language in LANGUAGES:
            described = [record for record in own if language in record.captions]
            if not described:
                continue
            key = f"caption.{corpus}.{language}"
            try:
                written = [
                    harness.caption(record.load(), language).text
                    for record in harness.each(described, f"captions, {language}")
                ]
                rows |= _scores(key, written, described, language)
            except REASONS as reason:
                rows[f"{key}.cider"] = skipped(reason)
                continue
            if language == "en":
                english = dict(zip((record.id for record in described), written, strict=True))
                continue
            described = [record for record in described if record.id in english]
            key = f"{key}.through_english"
            rows |= attempt(f"{key}.cider", _through_english, harness, key, english, described, language)
    return rows


def _through_english(
    harness: Harness, key: str, english: dict[str, str], records: list[PhotoRecord], language: str
) -> Rows:
    texts = (english[record.id] for record in records)
    translated = [harness.translate(text, "en", language) if text.strip() else "" for text in texts]
    return _scores(key, translated, records, language)


def _scores(key: str, written: list[str], records: list[PhotoRecord], language: str) -> Rows:
    texts = [normalise(text, language) for text in written]
    references = [[normalise(text, language) for text in record.captions[language]] for record in records]
    moved = texts[1:] + texts[:1]
    n = len(texts)
    return {
        f"{key}.bleu4": Row(caption_bleu(texts, references), n, "points"),
        f"{key}.cider": Row(cider(texts, references), n, "points", note="CIDEr-D x 100"),
        f"{key}.cider.blind": Row(cider(moved, references), n, "points", note="captions moved on by one photo"),
    }
