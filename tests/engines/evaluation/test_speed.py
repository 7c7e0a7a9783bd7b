"""Seconds per job, on media no cache has seen."""

from __future__ import annotations

from engines.evaluation import speed
from engines.evaluation.harness import Harness
from engines.protocol import CaptionRequest, EmbedRequest, Photo, TranscribeRequest
from tests.engines.evaluation.oracle import rows_of
from tests.fake_host import FakeHost


def test_speed_rows_are_seconds_and_never_the_same_media_twice(tiny):
    host = FakeHost()
    rows = rows_of(host, tiny, "speed")
    jobs = (
        "caption",
        "transcribe",
        "transcribe_25_s",
        "translate",
        "photo_vector",
        "text_vector",
        "caption_first_word",
    )
    assert all(rows[f"speed.{job}.seconds"].unit == "s" for job in jobs)
    seen = [r.media for r in host.requests if isinstance(r, CaptionRequest | EmbedRequest)]
    asked = [media.pixels.tobytes() for media in seen if isinstance(media, Photo)]
    assert len(set(asked)) == len(asked) == 18
    assert {round(r.media.duration_s, 3) for r in host.requests if isinstance(r, TranscribeRequest)} == {10.0, 25.0}


def test_an_hour_of_speech_is_one_request_made_of_the_clips(tiny, monkeypatch):
    monkeypatch.setattr(speed, "HOUR_S", 90)
    host = FakeHost()
    rows = speed.speed_rows(Harness(host, tiny, "dev", quiet=True), with_hour=True)
    assert rows["speed.transcribe_hour.real_time_factor"].n == 1
    assert max(r.media.duration_s for r in host.requests if isinstance(r, TranscribeRequest)) == 90.0


def test_a_new_process_is_timed_until_the_model_is_open_and_until_the_page_is_there(tiny, monkeypatch):
    monkeypatch.setattr(speed, "N_STARTS", 1)
    rows = speed.speed_rows(Harness(FakeHost(), tiny, "dev", quiet=True), with_starts=True)
    assert rows["speed.open_host.seconds"].value > 0
    assert rows["speed.page.seconds"].value > 0
