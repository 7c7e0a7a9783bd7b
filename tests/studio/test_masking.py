"""Hide a modality: what is asked, what a run shows, and what stops it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engines import AskRequest, CaptionRequest, RequestError
from engines.lab.masked_translation import words
from studio.app import open_state
from studio.i18n import text
from studio.tabs.masking import ui as masking
from studio.tabs.masking.ui import EXAMPLES, MODALITIES, WORDS
from tests.conftest import SAMPLES, write_photo
from tests.studio.conftest import CHINESE, Opened, media_input, upload


@pytest.fixture
def opened(state) -> Opened:
    return Opened(state, masking)


@pytest.fixture
def built(tmp_path, tiny_host) -> Opened:
    """The panel over the built-in host, which alone can do the first half."""
    return Opened(open_state(tiny_host, home=tmp_path / "home", devices=("cpu",)), masking)


def uploaded(path: Path) -> dict[str, Any]:
    """A file as the browser sends it after its upload."""
    return {"path": upload(path)}


@pytest.fixture
def photo_value(tmp_path, photo) -> dict[str, Any]:
    return uploaded(write_photo(tmp_path / "red.png", photo))


# --- what is asked ---------------------------------------------------------------------------------------------------


def test_the_same_translation_is_asked_for_without_and_with_the_photo(tmp_path):
    media = media_input(WORDS, "photo")
    alone, together = masking.translation_requests(media, "dog.jpg", "zh-en", "一只狗", ["2"], 0.5)
    assert alone.photo is None and together.photo == Path("dog.jpg") and together.weight == 0.5
    assert alone.hidden == together.hidden == {2} and (alone.source, alone.target) == ("zh", "en")
    with pytest.raises(RequestError, match="Drop a photo first"):
        masking.translation_requests(media, None, "en-de", "A dog.", [], 0.5)
    with pytest.raises(RequestError, match="Type a sentence first"):
        masking.translation_requests(media, "dog.jpg", "en-de", None, [], 0.5)


def test_a_question_is_asked_three_times(tmp_path):
    media = media_input(MODALITIES, "clip")
    asked = masking.ask_requests(media, "zh", "dog.mp4", "什么？")
    assert [sorted(each.hide) for each in asked] == [[], ["picture"], ["sound"]]
    assert {(each.question, each.language) for each in asked} == {("什么？", "zh")}
    with pytest.raises(RequestError, match="Drop a clip first"):
        masking.ask_requests(media, "en", None, "What?")


def test_every_word_gets_a_box_and_keeps_its_tick_while_more_is_typed():
    update = masking.word_boxes("A dog, a dog .", "en-de", ["1", "7"])
    assert update["choices"] == [("A", "0"), ("dog,", "1"), ("a", "2"), ("dog.", "3")]
    assert update["value"] == ["1"] and update["visible"]
    assert not masking.word_boxes("", "en-de", ["0"])["visible"]
    assert [word for word, _ in masking.word_boxes("狗跑", "zh-en", [])["choices"]] == ["狗", "跑"]


def test_every_example_hides_a_noun_of_its_sentence():
    for name, (sentence, place) in EXAMPLES.items():
        assert (SAMPLES / name).is_file()
        assert words(sentence, "en")[int(place)] in ("dog", "woman", "grass.")


# --- what happens ----------------------------------------------------------------------------------------------------


def test_both_translations_stream_into_one_card(built, photo_value):
    frames = built("act_translate", photo_value, "en-de", "A dog runs.", ["1"], 0.8)
    page = built.page[0]
    assert "is-busy" in frames[0][page.result] and frames[0][page.stop]["visible"]
    assert not frames[0][page.run]["interactive"] and not frames[0][page.describe]["interactive"]
    last = frames[-1]
    assert "is-done" in last[page.result] and last[page.result].count("data-copied") == 2
    assert "A ___ runs." in last[page.result] and not last[page.stop]["visible"] and last[page.run]["interactive"]


def test_another_model_and_missing_input_are_one_sentence_each(opened, photo_value):
    result = opened.page[0].result
    assert (
        "cannot write by text and photo" in opened("act_translate", photo_value, "en-de", "A dog.", [], 0.8)[-1][result]
    )
    assert "Drop a photo first" in opened("act_translate", None, "en-de", "A dog.", [], 0.8)[-1][result]
    whole = opened("act_translate", photo_value, "en-de", "A dog.", ["0", "1"], 0.8)[-1][result]
    assert "Leave at least one word" in whole and "请至少留下一个词" in whole and "is-error" in whole
    assert "Drop a photo first" in opened("act_describe", None, "en-de")[-1][result]
    assert "Type a question first" in opened("act_ask", uploaded(SAMPLES / "dog.mp4"), " ")[-1][opened.page[1].result]


def test_a_description_becomes_the_sentence_and_its_boxes(opened, photo_value):
    *_, last = opened("act_describe", photo_value, "de-en")
    assert last[opened.page[0].sentence] == "Ein Hund läuft am Strand."
    assert len(last[opened.page[0].chosen]["choices"]) == 5 and "is-empty" in last[opened.page[0].result]
    (asked,) = opened.state.host.hosts()[0].requests
    assert isinstance(asked, CaptionRequest) and asked.language == "de"


def test_a_sample_fills_the_panel_in_the_language_of_the_page(opened):
    (sample,) = (each for each in opened.state.samples if each.path.name == "dog.jpg")
    filled = opened("pick", sample=sample.file_id)
    assert filled[opened.page[0].pair] == "en-de" and filled[opened.page[0].chosen]["value"] == ["1"]
    assert opened("pick", sample=sample.file_id, me=CHINESE)[opened.page[0].pair] == "en-zh"
    (clip,) = (each for each in opened.state.samples if each.path.name == "dog.mp4")
    assert opened("pick", n=1, sample=clip.file_id, me=CHINESE)[opened.page[1].question] == "能听到什么？"


def test_three_answers_come_one_after_the_other(opened):
    frames = opened("act_ask", uploaded(SAMPLES / "dog.mp4"), "What barks?")
    result = opened.page[1].result
    assert text("ui.compare.next", "en") in frames[1][result] and frames[-1][result].count("A dog is barking.") == 3
    asked = [each for each in opened.state.host.hosts()[0].requests if isinstance(each, AskRequest)]
    assert [sorted(each.hide) for each in asked] == [[], ["picture"], ["sound"]]
