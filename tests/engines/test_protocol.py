"""Requests are checked when they are made, results say how they ended, and a stop reaches whoever polls it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.errors import RequestError
from engines.protocol import (
    AskRequest,
    Cancel,
    CaptionRequest,
    CaptionResult,
    EmbedRequest,
    Request,
    Result,
    SearchRequest,
    Segment,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    run,
)
from tests.fake_host import FakeHost

FILE = Path("dog.jpg")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: CaptionRequest(media=FILE, language="xx"), "The language 'xx' is not known; choose one of en, de"),
        (lambda: TranscribeRequest(media=FILE, language="xx"), "The language 'xx' is not known"),
        (
            lambda: AskRequest(media=FILE, question="?", track=-1),
            "Sound tracks are counted from 1; 0 leaves the choice to the file, -1 is none.",
        ),
        (lambda: TranscribeRequest(media=FILE, translate_to="xx"), "The language 'xx' is not known"),
        (lambda: TranslateRequest(text=" ", source="en", target="de"), "Type something to translate first."),
        (lambda: TranslateRequest(text="x" * 20_001, source="en", target="de"), "The text has 20,001 characters"),
        (lambda: TranslateRequest(text="x", source="en", target="en"), "Source and target are the same language"),
        (lambda: AskRequest(media=FILE, question=""), "Type a question first."),
        (
            lambda: AskRequest(media=FILE, question="What?", hide=frozenset({"taste"})),
            "Only picture, sound and names can be",
        ),
        (lambda: EmbedRequest(media=""), "Type something to embed first."),
        (lambda: EmbedRequest(media="dog", against="smell"), "Unknown kinds smell"),
        (lambda: SearchRequest(query="", collection=FILE), "Type what to look for, or drop a file."),
        (lambda: SearchRequest(query="dog", collection=FILE, k=0), "k is 0; choose 1 to 1000 hits."),
        (lambda: SearchRequest(query="dog", collection=FILE, kinds=frozenset()), "Choose at least one kind of media"),
        (lambda: SearchRequest(query="dog", collection=FILE, kinds=frozenset({"smell"})), "Unknown kinds smell"),
    ],
)
def test_a_request_that_makes_no_sense_says_what_to_do(make, said):
    with pytest.raises(RequestError, match="^" + said.replace("[", r"\[")):
        make()


def test_a_sentence_for_people_comes_in_english_and_chinese():
    with pytest.raises(RequestError) as refused:
        AskRequest(media=FILE, question="  ")
    assert refused.value.text("en") == "Type a question first."
    assert refused.value.text("zh-CN") == "请先输入问题。"


def test_segments_join_to_a_text_with_spaces_except_in_chinese():
    segments = (
        Segment(0.0, 1.0, "Good morning.", translation="早上好。"),
        Segment(1.0, 2.0, "Sit.", translation="坐。"),
    )
    request = TranscribeRequest(media=FILE, translate_to="zh")
    result = TranscribeResult(request=request, language="en", segments=segments)
    assert result.text == "Good morning. Sit." and result.translation == "早上好。坐。"


def test_a_stream_without_an_end_is_a_defect_and_named():
    class Endless(FakeHost):
        def stream(self, request: Request, cancel: Cancel | None = None) -> Iterator[Result]:
            yield CaptionResult(request=request, text="A dog")

    with pytest.raises(RuntimeError, match="fake ended a CaptionRequest without a last result"):
        run(Endless(), CaptionRequest(media=FILE))
