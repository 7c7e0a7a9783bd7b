from pathlib import Path

import gradio as gr
import pytest

from engines import RequestError
from studio import components
from studio.components import CLIP, PHOTO, SOUND, TEXT, MediaInput
from tests.studio.conftest import media_input


@pytest.fixture
def media() -> MediaInput:
    return media_input("search", TEXT, PHOTO, SOUND, CLIP)


def test_the_input_that_is_seen_is_the_one_that_counts(media):
    assert media.chosen(PHOTO, "words", "dog.jpg", "bark.wav", None) == Path("dog.jpg")
    assert media.chosen(TEXT, "words", "dog.jpg", "bark.wav", None) == "words"


@pytest.mark.parametrize(("kind", "sentence"), [(PHOTO, "photo"), (SOUND, "sound"), (CLIP, "clip")])
def test_an_empty_input_says_what_to_drop(media, kind, sentence):
    with pytest.raises(RequestError, match=rf"Drop .*{sentence} first|{sentence} first") as caught:
        media.chosen(kind, None, None, None, None)
    assert "请先" in caught.value.zh


def test_turning_to_a_kind_shows_its_input_and_hides_the_others(media):
    updates = media.show(SOUND, "bark.wav")
    seen = {name for name, part in media.parts.items() if updates[part]["visible"]}
    assert seen == {SOUND}
    assert updates[media.parts[SOUND]]["value"] == "bark.wav"
    assert "value" not in updates[media.parts[PHOTO]]


def test_a_lent_file_lies_where_gradio_may_serve_it(media, photo_file, uploads_of_the_tests):
    lent = Path(components.lend(photo_file, media.parts[PHOTO]))
    assert lent.read_bytes() == photo_file.read_bytes()
    assert uploads_of_the_tests in lent.parents


def test_samples_are_buttons_and_hide_where_they_lie(state):
    if not state.samples:
        pytest.skip("assets/samples holds no samples in this checkout")
    with gr.Blocks():
        strip = components.samples("caption", state.samples_for("caption"))
    assert strip.value.count("<button") == len(state.samples_for("caption"))
    assert "assets" not in strip.value


def test_a_tab_without_samples_shows_no_empty_strip():
    with gr.Blocks():
        assert components.samples("caption", ()).visible is False


def test_a_place_for_files_takes_no_more_at_once_than_it_is_made_for():
    with gr.Blocks():
        place = components.files("place", '<input type="file" multiple>', most=7)
    assert "files.slice(0, 7)" in place.js_on_load
    assert "MOST" not in place.js_on_load
