"""What captions make certain about a photo."""

from __future__ import annotations

import pytest

from engines.training.facts import alike, photo_facts, sound_prompt


def test_two_mentions_are_certain_and_one_leaves_the_question_open() -> None:
    facts = photo_facts(["A dog in the snow .", "A puppy runs .", "An animal on a hill .", "It runs .", "Brown fur ."])
    assert "dog" in facts.shown
    assert "snow" not in facts.shown | facts.absent
    assert "boat" in facts.absent


def test_a_word_that_may_mean_it_keeps_absence_uncertain() -> None:
    facts = photo_facts(["A surfer rides ."] * 5)
    assert not {"water", "man", "woman"} & (facts.absent | facts.shown)
    assert "person" in facts.shown


def test_grass_is_absent_only_where_the_ground_is_named() -> None:
    assert "grass" not in photo_facts(["A dog runs ."] * 5).absent
    assert "grass" in photo_facts(["A dog runs on the beach ."] * 5).absent


@pytest.mark.parametrize(
    ("captions", "subject"),
    [
        (["A man sings ."] * 5, "man"),
        (["A man sings .", "A man sings .", "A guy sings .", "Singing .", "A singer ."], "man"),
        (["A man and a dog ."] * 5, ""),
        (["A man sings to people ."] * 5, ""),
        (["A little girl jumps .", "A child jumps .", *["A girl jumps ."] * 3], "girl"),
        (["A dog runs to its owner ."] * 5, ""),
    ],
)
def test_a_photo_has_a_subject_when_it_is_about_one_alone(captions: list[str], subject: str) -> None:
    assert photo_facts(captions).subject == subject


def test_sounds_that_resemble_one_another_are_alike() -> None:
    assert alike("drilling", "jackhammer")
    assert alike("rain", "rain")
    assert not alike("rain", "dog_bark")


def test_any_label_can_be_put_into_words() -> None:
    assert sound_prompt("dog_bark") == "the sound of a dog barking"
    assert sound_prompt("washing_machine") == "the sound of washing machine"
