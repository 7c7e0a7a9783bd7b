from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from scripts import character_drawings as drawings
from scripts.character_drawings import SCRIPTS, Character, draw


@pytest.fixture(scope="module")
def latin() -> list[Character]:
    if not drawings._files(SCRIPTS["Latin"].fonts):
        pytest.skip("no Noto or DejaVu fonts are installed")
    return list(draw(["Latin"], np.random.default_rng(0), n_characters=5, n_drawings=4))


def test_a_script_gives_as_many_characters_and_drawings_as_asked_for(latin):
    assert len({character.name for character in latin}) == 5
    assert {character.script for character in latin} == {"Latin"}
    assert {character.drawings.shape for character in latin} == {(4, 28, 28)}


def test_drawings_are_strokes_on_an_empty_ground_and_differ(latin):
    for character in latin:
        assert set(np.unique(character.drawings)) == {0, 1}
        assert 0.01 < character.drawings.mean() < 0.5
        assert len({drawing.tobytes() for drawing in character.drawings}) == 4


def test_the_same_seed_draws_the_same(latin):
    again = list(draw(["Latin"], np.random.default_rng(0), n_characters=5, n_drawings=4))
    assert all(np.array_equal(a.drawings, b.drawings) for a, b in zip(latin, again, strict=True))


def test_a_script_without_fonts_gives_nothing(monkeypatch):
    monkeypatch.setitem(SCRIPTS, "Elvish", drawings.Script("train", ("NoSuchFont-",), ((0x41, 0x5A),)))
    assert list(draw(["Elvish"], np.random.default_rng(0))) == []


def test_every_split_has_scripts_and_those_of_common_shapes_are_together():
    splits = Counter(script.split for script in SCRIPTS.values())
    assert set(splits) == {"train", "valid", "test"} and min(splits.values()) >= 5
    for kin in (("Latin", "Greek", "Cyrillic", "Coptic"), ("Telugu", "Kannada"), ("Thai", "Lao")):
        assert len({SCRIPTS[name].split for name in kin}) == 1
