"""Classes of photos by their captions: what most people name, alone of its list."""

from __future__ import annotations

import pytest

from engines.training.nouns import LEARNT, UNSEEN, noun_of

HORSE = ["A horse runs.", "A brown Horse, running", "Horses!", "An animal.", "A field."]
DOG = ["A dog runs."] * 3 + ["Something moves."] * 2


@pytest.mark.parametrize(
    ("captions", "noun"),
    [
        (HORSE, "horse"),
        (HORSE[:2] + HORSE[3:], None),
        (["A pony by the pool."] * 5, None),
        (["A horse by the pool."] + ["A horse."] * 4, "horse"),
        ([], None),
    ],
)
def test_a_photo_is_of_the_one_noun_that_most_captions_name(captions: list[str], noun: str | None) -> None:
    assert noun_of(captions, UNSEEN) == noun


def test_a_photo_in_which_one_of_the_others_is_named_even_once_can_be_left_out() -> None:
    assert noun_of(DOG, LEARNT, without=UNSEEN) == "dog"
    assert noun_of([*DOG[:4], "A dog at a pool"], LEARNT, without=UNSEEN) is None


def test_no_noun_is_learnt_from_and_measured_on() -> None:
    learnt, unseen = (frozenset().union(*nouns.values()) for nouns in (LEARNT, UNSEEN))
    assert not learnt & unseen
