"""Search in the shared space: text to photo and photo to text in each language, spoken captions to photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.archives import DatasetMissing, PhotoRecord, SpeechRecord, photos, speech
from engines.evaluation.bench import REASONS, Bench, Row, Rows, skipped
from engines.evaluation.metrics import recall_at
from engines.evaluation.speech import VOICE, synthesise

LANGUAGES = ("en", "zh", "de")
KS = (1, 5, 10)
MAX_SPOKEN = 500
"""Most spoken captions: synthetic voices are slow, and more of them change the figure little."""


def retrieval_rows(bench: Bench) -> Rows:
    """`retrieval.<corpus>.<language>.{text_to_image,image_to_text}.recall_at_<k>` and spoken queries.

    Every caption is a query of its own; a photo has found a text when any of its own captions is among the k best.
    """
    rows: Rows = {}
    records = photos(bench.data, bench.split)
    for corpus in sorted({record.corpus for record in records}):
        own = bench.take([record for record in records if record.corpus == corpus])
        try:
            vectors = bench.vectors(own, PhotoRecord.load, "photo vectors")
        except REASONS as reason:
            rows[f"retrieval.{corpus}"] = skipped(reason)
            continue
        for language in LANGUAGES:
            if any(language in record.captions for record in own):
                rows |= _text_rows(bench, f"retrieval.{corpus}.{language}", own, vectors, language)
        rows |= _spoken_rows(bench, own, vectors)
    return rows


def _text_rows(bench: Bench, key: str, records: list[PhotoRecord], photo: np.ndarray, language: str) -> Rows:
    owner = [i for i, record in enumerate(records) for _ in record.captions.get(language, ())]
    texts = [text for record in records for text in record.captions.get(language, ())]
    try:
        text = bench.vectors(texts, str, f"text vectors, {language}")
    except REASONS as reason:
        return {key: skipped(reason)}
    similarity = text @ photo.T  # (texts, photos)
    right = _one_hot(owner, len(records))
    described = np.flatnonzero(right.any(0))
    note = f"of {len(records)} photos; chance at 10: {min(1000.0 / len(records), 100.0):.1f} %"
    rows = _recalls(f"{key}.text_to_image", similarity, right, note)
    note = f"any of a photo's own captions, of {len(texts)}"
    return rows | _recalls(f"{key}.image_to_text", similarity.T[described], right.T[described], note)


def _recalls(key: str, similarity: np.ndarray, right: np.ndarray, note: str) -> Rows:
    found = recall_at(similarity, right, KS)
    return {f"{key}.recall_at_{k}": Row(value, len(similarity), note=note) for k, value in found.items()}


def _spoken_rows(bench: Bench, records: list[PhotoRecord], photo: np.ndarray) -> Rows:
    """Real voices where the data has spoken captions of these photos; synthetic ones under a name of their own."""
    rows: Rows = {}
    key = "retrieval.speech_to_image"
    place = {record.id: i for i, record in enumerate(records)}
    try:
        spoken = _spoken_captions(bench, place)
        vectors = bench.vectors(spoken, SpeechRecord.load, "spoken captions")
        owner = [place[Path(record.image).stem] for record in spoken]
        rows |= _recalls(key, vectors @ photo.T, _one_hot(owner, len(photo)), f"real voices, of {len(photo)} photos")
    except REASONS as reason:
        rows[f"{key}.recall_at_10"] = skipped(reason)
    try:
        english = bench.take([record for record in records if "en" in record.captions], MAX_SPOKEN)
        vectors = bench.vectors(english, lambda r: synthesise(r.captions["en"][0]), "synthetic spoken captions")
        right = _one_hot([place[record.id] for record in english], len(photo))
        note = f"synthetic voice: {VOICE}; each photo's first English caption, of {len(photo)} photos"
        rows |= _recalls(f"{key}.synthetic", vectors @ photo.T, right, note)
    except REASONS as reason:
        rows[f"{key}.synthetic.recall_at_10"] = skipped(reason)
    return rows


def _spoken_captions(bench: Bench, place: dict[str, int]) -> list[SpeechRecord]:
    found = [record for record in speech(bench.data, bench.split) if Path(record.image).stem in place]
    if not found:
        raise DatasetMissing("the data has no spoken captions of its photos")
    return bench.take(found)


def _one_hot(owner: list[int], n: int) -> np.ndarray:
    """(queries, n) bool: which item each query belongs to."""
    return np.asarray(owner)[:, None] == np.arange(n)[None]
