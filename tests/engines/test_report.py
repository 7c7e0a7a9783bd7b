"""A result as JSON: everything in it, and nothing about where a person keeps things."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engines.protocol import (
    AskRequest,
    CaptionRequest,
    EmbedRequest,
    EmbedResult,
    IndexRequest,
    Photo,
    Result,
    SearchRequest,
    TranscribeRequest,
    TranslateRequest,
    run,
)
from engines.report import to_json
from tests.fake_host import FakeHost

FILE = Path("/home/anna/private/dog.jpg")
REQUESTS = [
    CaptionRequest(media=FILE),
    TranscribeRequest(media=FILE, translate_to="de"),
    TranslateRequest(text="Hello", source="en", target="zh"),
    AskRequest(media=FILE, question="What?", hide=frozenset({"sound"}), history=(("Who?", "A dog."),)),
    EmbedRequest(media=FILE),
    IndexRequest(folder=FILE.parent, collection=FILE),
    SearchRequest(query=FILE, collection=FILE),
]


def test_files_that_failed_are_names_and_sentences():
    result = run(FakeHost(), IndexRequest(folder=FILE.parent, collection=FILE))
    sentence = "broken.jpg is damaged or cut short and cannot be read; export or download it again."
    assert to_json(result)["failures"] == [["broken.jpg", sentence]]


@pytest.mark.parametrize("request_made", REQUESTS, ids=lambda request: type(request).__name__)
def test_every_result_survives_json_and_names_no_folder(request_made):
    plain = to_json(run(FakeHost(), request_made))
    text = json.dumps(plain, ensure_ascii=False)
    assert json.loads(text) == plain
    assert plain["host"] == "fake" and plain["end"] == "finished" and plain["request"]
    assert "anna" not in text.replace('"folder": "private"', "")


def test_a_transcript_holds_segments_words_and_whole_texts():
    plain = to_json(run(FakeHost(), REQUESTS[1]))
    assert plain["result"] == "transcribe" and plain["request"]["media"] == "dog.jpg"
    assert plain["text"] == "Good morning. The train leaves at nine."
    assert plain["translation"].startswith("Guten Morgen.")
    assert plain["segments"][0]["words"][0] == {"start_s": 0.5, "end_s": 0.8, "text": "Good", "confidence": None}


def test_media_in_memory_are_named_by_their_kind_and_vectors_are_lists():
    photo = Photo(np.zeros((2, 2, 3), np.uint8))
    result = EmbedResult(request=EmbedRequest(media=photo), vector=np.array([0.6, 0.8], np.float32), kind="photo")
    plain = to_json(result)
    assert plain["request"] == {"media": "photo", "against": "photo"}
    assert plain["vector"] == [0.6, 0.8] and plain["end"] is None


def test_what_has_no_plain_form_is_a_defect_and_named():
    with pytest.raises(TypeError, match="object has no plain form"):
        to_json(Result(request=object()))
