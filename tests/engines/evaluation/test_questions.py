"""Questions are scored apart for each sense hidden; clips that cannot be read count as wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.errors import MediaError
from engines.protocol import AskRequest, Request, Result
from tests.engines.evaluation.oracle import rows_of
from tests.fake_host import FakeHost
from tests.tiny_data import webp, write_rows, write_tar


@pytest.fixture
def clips(tmp_path) -> Path:
    """One clip with two questions, the first of which the fake host answers rightly."""
    qa = [{"q": "What is it?", "a": "the dog is barking"}, {"q": "Where?", "a": "park"}]
    write_rows(tmp_path / "video" / "mini.jsonl.gz", [{"id": "v1", "file": "v1.mp4", "qa": qa}])
    write_tar(tmp_path / "video" / "mini.tar", {"v1.mp4": b"any"})
    return tmp_path


def test_composed_questions_are_scored_apart_for_each_sense_hidden(oracle, tiny):
    got = {key: row.value for key, row in rows_of(oracle, tiny, "video_qa.composed", 16).items()}
    assert got["video_qa.composed.n_scenes.accuracy"] == 100.0
    assert got["video_qa.composed.accuracy"] == got["video_qa.composed.accuracy.picture_only"]
    assert got["video_qa.composed.accuracy.blind"] == got["video_qa.composed.accuracy.sound_only"] == 0.0
    assert got["video_qa.composed.without_sound.cost"] == 0.0
    cost = got["video_qa.composed.without_picture.cost"]
    assert cost is not None
    assert cost > 0.0


def test_an_answer_is_the_same_with_or_without_an_article(clips):
    host = FakeHost()
    rows = rows_of(host, clips, "video_qa.mini")
    assert (rows["video_qa.mini.accuracy"].value, rows["video_qa.mini.accuracy.blind"].value) == (50.0, 0.0)
    assert {request.media.name for request in host.requests} == {"v1.mp4"}


def test_clips_that_cannot_be_read_count_as_wrong_and_are_named_in_the_note(clips):
    def unreadable(request: Request) -> Iterator[Result]:
        raise MediaError("test", "Not a clip.")
        yield  # pragma: no cover

    row = rows_of(FakeHost(scripts={AskRequest: unreadable}), clips, "video_qa.mini")["video_qa.mini.accuracy"]
    assert (row.value, row.n, row.note) == (0.0, 2, "1 clips could not be read and count as wrong")


def test_half_of_the_photos_would_not_do_for_a_single_question(tmp_path):
    write_rows(tmp_path / "photos" / "flickr8k_dev.jsonl.gz", [{"image": "x", "de": ["Ein Bild ."]}])
    write_tar(tmp_path / "photos" / "flickr8k_dev.tar", {"x.webp": webp((1, 2, 3))})
    rows = rows_of(FakeHost(), tmp_path, "video_qa.composed", 3)
    assert rows["video_qa.composed.accuracy"].skipped == (
        "the photos and sounds of the data do not suffice for a single question"
    )
