"""Search: perfect vectors find everything, and spoken queries are skipped where nobody spoke."""

from __future__ import annotations

import shutil

from tests.engines.evaluation.oracle import rows_of
from tests.tiny_data import PHOTOS, opus, pitch_hz, write_rows, write_tar


def test_perfect_vectors_find_every_photo_in_every_language(oracle, tiny):
    rows = rows_of(oracle, tiny, "retrieval")
    for language, n_texts in (("en", 30), ("zh", 6), ("de", 6)):
        there = rows[f"retrieval.flickr8k.{language}.text_to_image.recall_at_1"]
        back = rows[f"retrieval.flickr8k.{language}.image_to_text.recall_at_1"]
        assert (there.value, there.n, back.value, back.n) == (100.0, n_texts, 100.0, len(PHOTOS))


def test_spoken_captions_are_skipped_where_there_are_none(oracle, tiny):
    row = rows_of(oracle, tiny, "retrieval")["retrieval.speech_to_image.recall_at_10"]
    assert (row.value, row.skipped) == (None, "the data has no spoken captions of its photos")


def test_real_voices_are_used_where_people_spoke_the_captions(oracle, tiny, tmp_path):
    data = shutil.copytree(tiny, tmp_path / "data")
    line = {"id": "s", "speaker": "s", "text": "a dog", "corpus": "fac", "split": "dev", "image": "dog.jpg"}
    write_rows(data / "speech" / "captions.jsonl.gz", [line])
    write_tar(data / "speech" / "captions.tar", {"s.opus": opus(pitch_hz(0))})
    row = rows_of(oracle, data, "retrieval")["retrieval.speech_to_image.recall_at_10"]
    assert (row.n, row.note) == (1, "real voices, of 6 photos")
