"""Training the classifier of answers: which questions it learns from, and that it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.model import checkpoint
from engines.model.answer_head import OTHER, AnswerHead
from engines.training import answer_head
from engines.training.answer_head import Example, by_people, caption_pairs, compared, misplaced
from engines.training.sources import PhotoSources


def pattern(i: int, width: int) -> torch.Tensor:
    return (torch.arange(width) % 2 == i % 2).to(torch.bfloat16).expand(64, width)


class Maps:
    """Feature maps of photos: even channels are one in even rows, odd channels in odd rows."""

    def __init__(self, *meta: dict) -> None:
        self.meta = list(meta)
        self.lengths = np.full(len(meta), 64)
        self.entry = "maps"

    def __len__(self) -> int:
        return len(self.meta)

    def __getitem__(self, i: int) -> torch.Tensor:
        return pattern(i, 1280)


def asked(*qa: tuple[str, str], mirrored: bool = False) -> dict:
    return {"qa": qa, "mirrored": mirrored}


CAPTIONS = {"captions": {"en": ["A man in a red shirt is riding a bike ."] * 5}}


def test_questions_about_sides_are_not_put_to_mirrored_photos():
    sided = ("What is left of the bed?", "lamp"), ("What is on the bed?", "pillow")
    files = [Maps(asked(*sided)), Maps(asked(*sided, mirrored=True))]
    assert [(e.photo, e.answer) for e in by_people(files, 3)] == [(3, "lamp"), (3, "pillow"), (4, "pillow")]


def test_questions_put_to_photos_they_are_not_about_have_no_answer_on_the_list():
    rng = np.random.default_rng(0)
    pairs = dict(caption_pairs(Maps(CAPTIONS, CAPTIONS), 2, rng))
    assert "red" in pairs.values() and all(pairs)
    moved = list(misplaced(["What is on the bed?"], range(7, 9), rng))
    assert moved == [Example(7, "What is on the bed?", OTHER), Example(8, "What is on the bed?", OTHER)]


def test_answers_are_compared_without_case_articles_and_points():
    assert compared("The  Chair.") == compared("chair") and compared("two") == compared("2")


@pytest.fixture
def photos() -> PhotoSources:
    rooms = [
        asked(("What is on the bed?", "pillow" if i % 2 == 0 else "the cat"), ("Rare?", f"rare {i}")) for i in range(8)
    ]
    return PhotoSources(
        captioned=[Maps(*[CAPTIONS] * 4)], named=[Maps({"label": 0}, {"label": 1})], asked=[Maps(*rooms)]
    )


def test_it_learns_the_answers_that_are_given_often_and_what_the_picture_says(photos, monkeypatch):
    """A wide enough tower is needed to read stored maps: the tiny model's projection is replaced."""
    monkeypatch.setattr(answer_head, "WARM_STEPS", 1)
    tiny = checkpoint.tiny()
    tower = tiny.model.picture
    monkeypatch.setattr(tower, "adapt", lambda maps: maps.flatten(2).transpose(1, 2)[..., : tiny.model.config.width])
    head = answer_head.train(replace(tiny, answers=None), photos, epochs=40)
    assert set(head.answers) == {OTHER, "pillow", "the cat"}
    words = tiny.model.read(
        torch.tensor([tiny.tokenizer.encode("What is on the bed?")]), torch.ones(1, 6, dtype=torch.bool)
    )
    mask = torch.ones(words.shape[:2], dtype=torch.bool)
    for i, answer in enumerate(("pillow", "the cat")):
        tokens = pattern(i, tiny.model.config.width)[None]
        named = [found for found, _ in head.likeliest(words, mask, tokens, 3) if found]
        assert named[0] == answer


def test_a_head_of_other_weights_is_trained_again(photos, monkeypatch, tmp_path):
    tiny = checkpoint.tiny()
    checkpoint.save(tmp_path, tiny.model, checkpoint.BUILTIN / checkpoint.TOKENIZER_FILE)
    head = AnswerHead(tiny.model.config.width, [OTHER, "chair"])
    checkpoint.save_part(tmp_path, head, "the digest before")
    monkeypatch.setattr(answer_head, "open_photos", lambda run: photos)
    monkeypatch.setattr(answer_head, "train", lambda model, photos, epochs: head)
    answer_head.main(["run", "--model", str(tmp_path)])
    loaded = checkpoint.load(tmp_path).answers
    assert loaded is not None and loaded.answers == (OTHER, "chair")
