"""Questions for what is written are answered with the words; captions and other answers have them beside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from engines import media
from engines.encoder import MediaEncoder
from engines.errors import MediaError
from engines.media import ocr
from engines.protocol import AskRequest, AskResult, CaptionRequest, CaptionResult, Clip, Photo, Sound
from engines.tasks import ask, caption, reading

SIGN = ("Platform 12", "Trains to Berlin")
BILL = ("Café Sud", "Total 12,50 €", "Tel. +49 30 123456", "info@cafe-sud.example", "www.cafe-sud.example")


@pytest.fixture
def shows(monkeypatch) -> Callable[..., None]:
    """Have every picture be read as some lines."""

    def use(*lines: str) -> None:
        monkeypatch.setattr(ocr, "is_installed", lambda: True)
        monkeypatch.setattr(reading.files, "stream_words", lambda path, **_: iter([media.Words(lines)]))

    return use


def asked(encoder: MediaEncoder, medium: Photo | Clip, question: str, **options: object) -> AskResult:
    *_, last = ask.stream(encoder, AskRequest(media=medium, question=question, **options))
    return last


@pytest.mark.parametrize(
    "question",
    [
        "What does the sign say?", "What is written there?", "Which words can you see?", "Read the text",
        "What does it say?", "Was steht auf dem Schild?", "Qu'est-ce qui est écrit ?",
        "图里写了什么？", "上面的文字是什么？", "牌子上说什么？",
    ],
)  # fmt: skip
def test_a_question_for_what_is_written_is_answered_with_it(encoder, photo, shows, question):
    shows(*SIGN)
    last = asked(encoder, photo, question)
    assert (
        last.text == "Platform 12 / Trains to Berlin"
        and last.written == SIGN
        and last.modalities == (("picture", 1.0),)
    )


@pytest.mark.parametrize(
    "question", ["What is the woman writing?", "What is on the table?", "Is there text?", "Who reads?", "这是什么？"]
)
def test_other_questions_are_left_to_the_model(question):
    assert not reading.concerns(question, is_photo=True)


def test_what_a_clip_says_is_heard_unless_a_sign_is_meant():
    assert not reading.concerns("What does he say?", is_photo=False)
    assert reading.concerns("What does the sign say?", is_photo=False)
    assert reading.concerns("What does it say?", is_photo=True)


@pytest.mark.parametrize(
    ("question", "right"),
    [
        ("How much does it cost?", "12,50 €"),
        ("What is the phone number?", "+49 30 123456"),
        ("What is the e-mail address?", "info@cafe-sud.example"),
        ("多少钱？", "12,50 €"),
    ],
)
def test_a_price_number_or_address_is_picked_out(encoder, photo, shows, question, right):
    shows(*BILL)
    assert asked(encoder, photo, question).text == right


def test_a_price_that_is_not_written_is_left_to_the_model(encoder, photo, shows):
    shows(*SIGN)
    last = asked(encoder, photo, "How much does it cost?")
    assert last.end == "finished" and last.text not in ("", *SIGN) and last.written == SIGN


@pytest.mark.parametrize(("language", "right"), reading.NOTHING.items())
def test_a_picture_without_words_is_said_to_have_none(encoder, photo, shows, language, right):
    shows()
    assert asked(encoder, photo, "What is written there?", language=language).text == right


def test_without_the_extra_the_answer_says_how_to_get_it(encoder, photo, monkeypatch):
    monkeypatch.setattr(ocr, "is_installed", lambda: False)
    assert asked(encoder, photo, "What does the sign say?").text == ocr.missing().en
    assert asked(encoder, photo, "写了什么？", language="zh").text == ocr.missing().zh
    assert asked(encoder, photo, "What is it doing?").written == ()


def test_words_are_not_told_where_the_picture_is_hidden(encoder, clip, shows):
    shows(*SIGN)
    last = asked(encoder, clip, "What does the sign say?", hide=frozenset({"picture"}))
    assert "Platform" not in last.text and last.written == ()


def test_a_caption_has_the_words_beside_it(encoder, photo, shows):
    shows(*SIGN)
    *_, last = caption.stream(encoder, CaptionRequest(media=photo))
    assert isinstance(last, CaptionResult) and last.text and last.written == SIGN and last.end == "finished"


def test_a_caption_does_not_wait_for_words_before_it_is_written(encoder, photo, monkeypatch):
    may_end = threading.Event()

    def slow(path: Path, **_: object) -> Iterator[media.Words]:
        may_end.wait(30)
        yield media.Words(SIGN)

    monkeypatch.setattr(ocr, "is_installed", lambda: True)
    monkeypatch.setattr(reading.files, "stream_words", slow)
    for result in caption.stream(encoder, CaptionRequest(media=photo)):
        if result.progress is not None and result.progress.stage == "reading words":
            assert result.text and result.written == ()
            may_end.set()
    assert result.written == SIGN


def test_words_that_cannot_be_read_leave_a_caption_without_them(encoder, photo, monkeypatch):
    def fail(path: Path, **_: object) -> Iterator[media.Words]:
        raise MediaError("media_words_unread", "The words in {name} could not be read.", name=path.name)
        yield

    monkeypatch.setattr(ocr, "is_installed", lambda: True)
    monkeypatch.setattr(reading.files, "stream_words", fail)
    *_, last = caption.stream(encoder, CaptionRequest(media=photo))
    assert last.text and last.written == () and last.end == "finished"


def test_a_clip_in_memory_is_read_in_a_few_frames_and_a_sound_in_none(shows):
    shows("EXIT")
    frames = tuple(np.zeros((8, 8, 3), np.uint8) for _ in range(9))
    assert reading._lines(Clip(frames, tuple(map(float, range(9))), 9.0)) == ("EXIT",)
    assert reading.Reader(Sound(np.zeros(9, np.float32))).look()
