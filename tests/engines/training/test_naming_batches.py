"""Batches with names of what is shown: beside photos, in place of them, and beside questions as people ask them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.model.config import tiny
from engines.model.fusion import FusionModel
from engines.training.batches import IGNORED, Feeds
from engines.training.caption_questions import UNTOLD, questions, untold
from engines.training.content_words import Exchange, gender, nouns
from engines.training.objectives import OBJECTIVES
from tests.engines.training.conftest import CLASSES, GROUPS

CAPTIONS = ["A man in a red hat is playing guitar on a stage ."] * 3


@pytest.mark.parametrize("task", ["name", "write", "question"])
def test_a_batch_has_a_row_of_names_for_each_text_and_is_drawn_from_the_generator(naming: Feeds, task: str):
    once, again = (naming.draw(task, 8, np.random.default_rng(1)) for _ in range(2))
    assert len(once["names"]) == len(once["ids"]) == len(once["names_mask"])
    assert all((once[name] == again[name]).all() for name in once)


@pytest.mark.parametrize("task", ["name", "write", "question", "answer"])
def test_names_are_learnt_from(naming: Feeds, task: str):
    """The embedding of the stream of names gets a finite gradient that is not zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = replace(tiny(naming.tokenizer.vocab_size), concepts=CLASSES, concept_groups=GROUPS)
        model = FusionModel(config).train()
    OBJECTIVES[task](model, naming.draw(task, 8, np.random.default_rng(1))).total.backward()
    gradient = model.sense_embedding["names"].grad
    assert gradient is not None and gradient.isfinite().all() and gradient.any()


def test_a_row_without_names_is_masked_whole(naming: Feeds):
    masks = naming._with_names([["cup"], []], ["en", "en"])["names_mask"]
    assert masks.any(1).tolist() == [True, False]


def test_what_is_written_from_names_holds_them(naming: Feeds):
    batch = naming.draw("write", 8, np.random.default_rng(2))
    for names, mask, targets in zip(batch["names"], batch["names_mask"], batch["targets"].tolist(), strict=True):
        text = naming.tokenizer.decode([i for i in targets if i != IGNORED]).lower()
        listed = naming.tokenizer.decode(names[mask].tolist()).lower().replace("、", ",").split(",")
        assert all(name.strip() in text for name in listed)


def test_nouns_are_what_a_caption_names():
    assert nouns("A black dog is running on the beach .", "en") == ["dog", "beach"]
    assert nouns("Ein Hund läuft über die Wiese.", "de") == ["Hund", "Wiese"]


def test_an_exchanged_noun_has_the_article_that_fits():
    exchange = Exchange(CLASSES, GROUPS)
    put = exchange._put
    assert put("A cat sits on a chair .", "cat", "espresso", "en") == "An espresso sits on a chair ."
    assert put("Eine Katze sitzt.", "Katze", "Hund", "de") is None
    assert put("Eine Katze sitzt.", "Katze", "Tasse", "de") == "Eine Tasse sitzt."
    assert gender("Tasse") == "f" and gender("Hund") == "m" and gender("Kätzchen") == "n"


def test_questions_made_of_captions_have_short_answers():
    asked = {question.text: question.answer for question in questions(CAPTIONS, np.random.default_rng(0), "en")}
    assert "guitar" in asked.values() and "playing guitar" in asked.values()
    assert "red" in asked.values() and "on a stage" in asked.values()
    assert all(len(answer.split()) <= 3 for answer in asked.values())


def test_a_film_without_colours_is_asked_whether_it_has_any():
    *_, last = questions(CAPTIONS, np.random.default_rng(0), "en", grey=True)
    assert last.answer == "no" and "colo" in last.text
    assert "red" not in {question.answer for question in questions(CAPTIONS, np.random.default_rng(0), "en", grey=True)}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_no_photo_can_tell_is_answered_so(language: str):
    assert untold(np.random.default_rng(0), language).answer == UNTOLD[language]
