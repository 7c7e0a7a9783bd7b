"""Captions of photos against what people wrote: BLEU-4 and CIDEr-D in each language.

Beside each: the same captions moved on by one photo (what the language alone is worth), and for German and Chinese
the model's own English captions, translated.
"""

from __future__ import annotations

from engines.archives import PhotoRecord, photos
from engines.evaluation.bench import REASONS, Bench, Row, Rows, skipped
from engines.evaluation.metrics import caption_bleu, cider, require_bleu
from engines.protocol import CaptionRequest, CaptionResult, TranslateRequest, TranslateResult
from engines.text import normalise

LANGUAGES = ("en", "zh", "de")


def caption_rows(bench: Bench) -> Rows:
    """`caption.<corpus>.<language>.{bleu4,cider}` for the languages people described the photos in."""
    require_bleu()  # before ten minutes of captions that nothing could score
    rows: Rows = {}
    records = photos(bench.data, bench.split)
    for corpus in sorted({record.corpus for record in records}):
        english: dict[str, str] = {}
        own = bench.take([record for record in records if record.corpus == corpus])
        for language in LANGUAGES:
            described = [record for record in own if language in record.captions]
            key = f"caption.{corpus}.{language}"
            if not described:
                continue
            try:
                written = _captions(bench, described, language)
                rows |= _scores(key, written, described, language)
            except REASONS as reason:
                rows[f"{key}.cider"] = skipped(reason)
                continue
            if language == "en":
                english = dict(zip((record.id for record in described), written, strict=True))
                continue
            described = [record for record in described if record.id in english]
            try:
                through = [_translation(bench, english[record.id], language) for record in described]
                rows |= _scores(f"{key}.through_english", through, described, language)
            except REASONS as reason:
                rows[f"{key}.through_english.cider"] = skipped(reason)
    return rows


def _captions(bench: Bench, records: list[PhotoRecord], language: str) -> list[str]:
    return [
        bench.ask(CaptionRequest(media=record.load(), language=language), CaptionResult).text
        for record in bench.each(records, f"captions, {language}")
    ]


def _translation(bench: Bench, text: str, language: str) -> str:
    if not text.strip():
        return ""
    return bench.ask(TranslateRequest(text=text, source="en", target=language), TranslateResult).text


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
