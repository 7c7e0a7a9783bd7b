"""What captions make certain about a photo, classes of photos by nouns, and sounds in words."""

from __future__ import annotations

import pytest

from engines.training.lexicon import LEARNT, SOUND_NAMES, UNSEEN, alike, noun_of, photo_facts, sound_prompt

HORSE = ["A horse runs.", "A brown Horse, running", "Horses!", "An animal.", "A field."]
DOG = ["A dog runs."] * 3 + ["Something moves."] * 2


def test_two_mentions_are_certain_and_one_leaves_the_question_open():
    facts = photo_facts(["A dog in the snow .", "A puppy runs .", "An animal on a hill .", "It runs .", "Brown fur ."])
    assert "dog" in facts.shown
    assert "snow" not in facts.shown | facts.absent
    assert "boat" in facts.absent


def test_a_word_that_may_mean_it_keeps_absence_uncertain():
    facts = photo_facts(["A surfer rides ."] * 5)
    assert not {"water", "man", "woman"} & (facts.absent | facts.shown)
    assert "person" in facts.shown


def test_grass_is_absent_only_where_the_ground_is_named():
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
def test_a_photo_has_a_subject_when_it_is_about_one_alone(captions, subject):
    assert photo_facts(captions).subject == subject


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
def test_a_photos_class_is_the_only_noun_that_most_captions_name(captions, noun):
    assert noun_of(captions, UNSEEN) == noun


def test_a_photo_whose_captions_name_an_excluded_noun_once_has_no_class():
    assert noun_of(DOG, LEARNT, without=UNSEEN) == "dog"
    assert noun_of([*DOG[:4], "A dog at a pool"], LEARNT, without=UNSEEN) is None


def test_no_noun_is_both_learnt_from_and_measured_on():
    learnt, unseen = (frozenset().union(*nouns.values()) for nouns in (LEARNT, UNSEEN))
    assert not learnt & unseen


def test_similar_sounds_are_alike():
    assert alike("drilling", "jackhammer") and alike("rain", "rain")
    assert not alike("rain", "dog_bark")


def test_any_label_can_be_put_into_words():
    assert sound_prompt("dog_bark") == "the sound of a dog barking"
    assert sound_prompt("washing_machine") == "the sound of washing machine"


@pytest.mark.parametrize("language", ["en", "de", "zh"])
def test_every_sound_has_its_own_name_in_three_languages(language):
    prompts = [sound_prompt(name, language) for name in SOUND_NAMES]
    assert len(set(prompts)) == len(prompts) and all(prompts)
