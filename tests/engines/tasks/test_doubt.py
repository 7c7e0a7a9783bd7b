"""A result says how likely it is right, by what its model's config holds, and names guesses where it is in doubt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engines.encoder import MediaEncoder
from engines.tasks import doubt
from engines.tasks.carry import Draft


@pytest.fixture
def calibrated(checkpoint) -> MediaEncoder:
    """The tiny model with a table by which one feature of 1 means 73 %, of 0 a half, and 60 % is sure."""
    table = {"weights": (0.0, 1.0), "sure": (0.6,)}
    model = checkpoint.model
    encoder = MediaEncoder(checkpoint)
    encoder.model = _with_config(model, replace(model.config, calibration={"doubt.test": table}))
    return encoder


def _with_config(model, config):
    from copy import copy

    other = copy(model)
    other.config = config
    return other


def test_a_likely_result_has_its_probability_and_no_guesses(calibrated):
    judged = doubt.judged(calibrated, "doubt.test", [1.0], ["a cat"])
    assert judged.confidence == pytest.approx(0.731, abs=1e-3)
    assert not judged.unsure and judged.guesses == ()


def test_a_doubtful_result_brings_its_best_guesses(calibrated):
    judged = doubt.judged(calibrated, "doubt.test", [0.0], ["a cat", "a lynx", "a dog", "a cow"])
    assert judged.unsure and judged.guesses == ("a cat", "a lynx", "a dog")


def test_a_model_without_a_measure_gives_no_confidence(encoder, photo):
    judged = doubt.caption(encoder, encoder.encode(photo), -0.5, 0.4, "en")
    assert judged.confidence is None and not judged.unsure


def test_a_translation_is_as_sure_as_its_sentences_by_their_length(checkpoint):
    table = {"weights": (1.0, 1.0, 0.0), "sure": (0.4,)}
    encoder = MediaEncoder(checkpoint)
    encoder.model = _with_config(
        checkpoint.model, replace(checkpoint.model.config, calibration={"doubt.translation": table})
    )
    good, bad = (Draft("", logprob, n, "Hallo.", "Hello.") for logprob, n in ((-0.5, 30), (-3.0, 10)))
    copied = Draft("123")
    assert doubt.translation(encoder, [good, copied]).confidence == pytest.approx(0.622, abs=1e-3)
    assert doubt.translation(encoder, [good, bad]).confidence == pytest.approx(0.469, abs=1e-3)
    assert doubt.translation(encoder, [bad, copied]).unsure and not doubt.translation(encoder, [good, bad]).unsure
    assert doubt.translation(encoder, [copied]).confidence is None
