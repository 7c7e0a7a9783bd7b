"""Seconds per job, on media no cache has seen."""

from __future__ import annotations

from engines.protocol import CaptionRequest, EmbedRequest, Photo, TranscribeRequest
from tests.engines.evaluation.oracle import rows_of
from tests.fake_host import FakeHost


def test_speed_rows_are_seconds_and_never_the_same_media_twice(tiny):
    host = FakeHost()
    rows = rows_of(host, tiny, "speed")
    jobs = ("caption", "transcribe", "translate", "photo_vector", "text_vector", "caption_first_word")
    assert all(rows[f"speed.{job}.seconds"].unit == "s" for job in jobs)
    seen = [r.media for r in host.requests if isinstance(r, CaptionRequest | EmbedRequest)]
    asked = [media.pixels.tobytes() for media in seen if isinstance(media, Photo)]
    assert len(set(asked)) == len(asked) == 18
    assert {round(r.media.duration_s, 3) for r in host.requests if isinstance(r, TranscribeRequest)} == {10.0}
