"""Search in the shared space: text to photo and photo to text in each language, spoken captions to photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.archives import DatasetMissing, PhotoRecord, SpeechRecord, photos, speech
from engines.evaluation.harness import Harness, Row, Rows, attempt
from engines.evaluation.metrics import recall_at
from engines.evaluation.speech import VOICE, synthesise

LANGUAGES = ("en", "zh", "de")
KS = (1, 5, 10)
MAX_SPOKEN = 500
"""Most spoken captions: synthetic voices are slow, and more of them change the figure little."""


def retrieval_rows(harness: Harness) -> Rows:
    """`retrieval.<corpus>.<language>.{text_to_image,image_to_text}.recall_at_<k>` and spoken queries.

    Every caption is a query of its own; a photo has found a text when any of its own captions is among the k best.
    """
    rows: Rows = {}
    for corpus, own in harness.by_corpus(photos(harness.data, harness.split)):
        rows |= attempt(f"retrieval.{corpus}", _corpus_rows, harness, corpus, own)
    return rows


def _corpus_rows(harness: Harness, corpus: str, records: list[PhotoRecord]) -> Rows:
    rows: Rows = {}
    photo = harness.vectors(records, PhotoRecord.load, "photo vectors")
    for language in LANGUAGES:
        if any(language in record.captions for record in records):
            key = f"retrieval.{corpus}.{language}"
            rows |= attempt(key, _text_rows, harness, key, records, photo, language)
    key = "retrieval.speech_to_image"
    rows |= attempt(f"{key}.recall_at_10", _spoken_rows, harness, key, records, photo)
    return rows | attempt(f"{key}.synthetic.recall_at_10", _synthetic_rows, harness, f"{key}.synthetic", records, photo)


def _text_rows(harness: Harness, key: str, records: list[PhotoRecord], photo: np.ndarray, language: str) -> Rows:
    owner = [i for i, record in enumerate(records) for _ in record.captions.get(language, ())]
    texts = [text for record in records for text in record.captions.get(language, ())]
    similarity = harness.vectors(texts, str, f"text vectors, {language}") @ photo.T  # (texts, photos)
    right = _one_hot(owner, len(records))
    described = np.flatnonzero(right.any(0))
    note = f"of {len(records)} photos; chance at 10: {min(1000.0 / len(records), 100.0):.1f} %"
    rows = _recalls(f"{key}.text_to_image", similarity, right, note)
    note = f"any of a photo's own captions, of {len(texts)}"
    return rows | _recalls(f"{key}.image_to_text", similarity.T[described], right.T[described], note)


def _recalls(key: str, similarity: np.ndarray, right: np.ndarray, note: str) -> Rows:
    found = recall_at(similarity, right, KS)
    return {f"{key}.recall_at_{k}": Row(value, len(similarity), note=note) for k, value in found.items()}


def _spoken_rows(harness: Harness, key: str, records: list[PhotoRecord], photo: np.ndarray) -> Rows:
    """Captions of these photos that people spoke. Raises DatasetMissing where there are none."""
    row_of = {record.id: i for i, record in enumerate(records)}
    found = [record for record in speech(harness.data, harness.split) if Path(record.image).stem in row_of]
    if not found:
        raise DatasetMissing("the data has no spoken captions of its photos")
    spoken = harness.take(found)
    vectors = harness.vectors(spoken, SpeechRecord.load, "spoken captions")
    owner = [row_of[Path(record.image).stem] for record in spoken]
    return _recalls(key, vectors @ photo.T, _one_hot(owner, len(photo)), f"real voices, of {len(photo)} photos")


def _synthetic_rows(harness: Harness, key: str, records: list[PhotoRecord], photo: np.ndarray) -> Rows:
    """The first English caption of each photo, spoken by a synthetic voice."""
    described = [i for i, record in enumerate(records) if "en" in record.captions]
    chosen = harness.take(described, MAX_SPOKEN)
    texts = [records[i].captions["en"][0] for i in chosen]
    vectors = harness.vectors(texts, synthesise, "synthetic spoken captions")
    note = f"synthetic voice: {VOICE}; each photo's first English caption, of {len(photo)} photos"
    return _recalls(key, vectors @ photo.T, _one_hot(chosen, len(photo)), note)


def _one_hot(owner: list[int], n: int) -> np.ndarray:
    """(queries, n) bool: which item each query belongs to."""
    return np.asarray(owner)[:, None] == np.arange(n)[None]
