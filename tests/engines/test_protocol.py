"""Requests are checked when they are made, results say how they ended, and a stop reaches whoever polls it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import RequestError
from engines.protocol import (
    KINDS,
    LANGUAGES,
    Ability,
    AskRequest,
    Cancel,
    CaptionRequest,
    CaptionResult,
    EmbedRequest,
    Host,
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


@given(st.text(min_size=1, max_size=200).filter(str.strip), st.permutations(LANGUAGES))
def test_any_text_between_any_two_languages_may_be_translated(text, languages):
    request = TranslateRequest(text=text, source=languages[0], target=languages[1])
    assert request.text == text and hash(request) == hash(request)


def test_a_sentence_for_people_comes_in_english_and_chinese():
    with pytest.raises(RequestError) as refused:
        AskRequest(media=FILE, question="  ")
    assert refused.value.text("en") == "Type a question first."
    assert refused.value.text("zh-CN") == "请先输入问题。"


def test_a_result_is_done_once_it_has_an_end():
    request = CaptionRequest(media=FILE)
    assert not CaptionResult(request=request).done
    assert all(CaptionResult(request=request, end=end).done for end in ("finished", "cut", "empty", "cancelled"))


def test_segments_join_to_a_text_with_spaces_except_in_chinese():
    segments = (
        Segment(0.0, 1.0, "Good morning.", translation="早上好。"),
        Segment(1.0, 2.0, "Sit.", translation="坐。"),
    )
    request = TranscribeRequest(media=FILE, translate_to="zh")
    result = TranscribeResult(request=request, language="en", segments=segments)
    assert result.text == "Good morning. Sit." and result.translation == "早上好。坐。"


def test_run_gives_the_last_result_of_a_stream():
    result = run(FakeHost(), CaptionRequest(media=FILE))
    assert isinstance(result, CaptionResult) and result.end == "finished" and result.text.startswith("A dog")


def test_a_stream_without_an_end_is_a_defect_and_named():
    class Endless(FakeHost):
        def stream(self, request: Request, cancel: Cancel | None = None) -> Iterator[Result]:
            yield CaptionResult(request=request, text="A dog")

    with pytest.raises(RuntimeError, match="fake ended a CaptionRequest without a last result"):
        run(Endless(), CaptionRequest(media=FILE))


def test_a_stop_ends_its_own_request_and_no_other():
    host, cancel = FakeHost(), Cancel()
    stopped, other = host.stream(CaptionRequest(media=FILE), cancel), host.stream(CaptionRequest(media=FILE))
    next(stopped)
    cancel.set()
    assert [result.end for result in stopped] == ["cancelled"]
    assert [result.end for result in other][-1] == "finished"


def test_a_host_serves_what_it_declares():
    host = FakeHost(abilities=frozenset({Ability(CaptionRequest, "en")}))
    assert isinstance(host, Host)
    assert host.info.serves(CaptionRequest) and host.info.serves(CaptionRequest, "en")
    assert not host.info.serves(CaptionRequest, "de") and not host.info.serves(SearchRequest)
    assert FakeHost().info.serves(TranslateRequest, "de-fr") and set(KINDS) >= {"photo", "speech"}
