"""Captions grow piece by piece in every language served, for photos, clips and sounds."""

from __future__ import annotations

import numpy as np
import pytest

from engines.protocol import LANGUAGES, RATE_HZ, CaptionRequest, Sound, run
from engines.tasks import caption
from tests.conftest import SAMPLES


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["photo", "sound", "clip"])
def test_a_caption_grows_and_ends(encoder, kind, language, request):
    asked = CaptionRequest(media=request.getfixturevalue(kind), language=language)
    results = list(caption.stream(encoder, asked))
    assert [result.done for result in results] == [False] * (len(results) - 1) + [True]
    assert results[-1].end == "finished" and results[-1].text and results[-1].progress is None
    assert len({result.text for result in results}) > 5 and results[0].request is asked


def test_an_english_stop_over_shows_nothing_in_english(encoder, photo):
    english = list(caption.stream(encoder, CaptionRequest(media=photo)))[-1].text
    french = list(caption.stream(encoder, CaptionRequest(media=photo, language="fr")))
    assert all(result.text != english for result in french)


def test_a_silent_sound_has_no_caption(encoder):
    silence = Sound(np.zeros(RATE_HZ, np.float32))
    *_, last = caption.stream(encoder, CaptionRequest(media=silence))
    assert last.end == "empty" and last.text == ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_built_in_model_says_something_about_a_sample(builtin, language):
    photos = sorted(path for path in SAMPLES.rglob("*") if path.suffix in {".jpg", ".png"})
    if not photos:
        pytest.skip("no sample photos in this checkout")
    result = run(builtin, CaptionRequest(media=photos[0], language=language))
    assert result.end == "finished" and len(result.text) >= (4 if language == "zh" else 10)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("There is a ox .", "There is an ox."),
        ("A orange cat and a eagle", "An orange cat and an eagle"),
        ("a unicycle , a one way street", "a unicycle, a one way street"),
    ],
)
def test_a_caption_has_the_article_and_the_spaces_that_people_write(encoder, written, wanted):
    assert caption._plain(encoder, tuple(encoder.tokenizer.encode(written))) == wanted
