"""Requests to translate a sentence with masked words, checked and run on the built-in model."""

from __future__ import annotations

import pytest

from engines.errors import AbilityError, RequestError
from engines.lab.masked_translation import PAIRS, MaskedRequest, MaskedResult, stream, words
from engines.protocol import Cancel
from engines.tasks.caption import DIRECT
from engines.tasks.translate import PIVOT
from tests.fake_host import FakeHost

TEXT = "A big brown dog , on the beach ."


@pytest.mark.parametrize(
    ("text", "source", "hidden", "shown"),
    [
        (TEXT, "en", set(), "A big brown dog, on the beach."),
        (TEXT, "en", {3}, "A big brown ..., on the beach."),
        (TEXT, "en", {1, 2, 3, 6}, "A ..., on the ...."),
        ("一只狗在草地上跑。", "zh", {2, 4, 5}, "一只...在...上跑。"),
    ],
)
def test_hidden_words_leave_a_gap_and_their_marks(text, source, hidden, shown):
    target = "en" if source == "zh" else "de"
    assert MaskedRequest(text=text, source=source, target=target, hidden=frozenset(hidden)).shown == shown


def test_a_gap_may_be_nothing_at_all():
    assert MaskedRequest(text=TEXT, hidden=frozenset({1, 2}), blank="").shown == "A dog, on the beach."


def test_words_carry_their_marks_and_chinese_is_cut_into_characters():
    assert words("Two dogs , one cat .", "en") == ("Two", "dogs,", "one", "cat.")
    assert words("两只 dog 在跑。", "zh") == ("两", "只", "dog", "在", "跑", "。")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"text": "  "}, "Type a sentence first"),
        ({"text": "dog " * 80}, "320 characters; at most 300"),
        ({"target": "fr"}, "en-fr is not translated here; choose one of en-de"),
        ({"hidden": frozenset({9})}, "There are 7 words"),
        ({"hidden": frozenset(range(7))}, "Leave at least one word"),
        ({"weight": 1.5}, "The weight is 1.5; it is 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(wrong, sentence):
    with pytest.raises(RequestError, match=sentence):
        MaskedRequest(**{"text": TEXT, **wrong})


def test_the_pairs_are_those_translated_in_one_step_into_a_language_of_captions():
    assert set(PAIRS) == {f"{a}-{b}" for a in DIRECT for b in DIRECT if a != b and PIVOT in (a, b)}


def test_any_other_model_says_that_it_cannot():
    with pytest.raises(AbilityError, match="fake cannot write by text and photo at once"):
        stream(FakeHost(), MaskedRequest(text=TEXT))


def test_the_built_in_model_translates_signs_and_can_be_stopped(tiny_host, photo):
    request = MaskedRequest(text=TEXT, hidden=frozenset({3}), photo=photo)
    *growing, last = stream(tiny_host, request)
    assert isinstance(last, MaskedResult) and last.end == "finished" and last.host == tiny_host.info.name
    assert last.text.split() == "".join(part.text for part in last.parts).split() and growing[0].progress is not None
    cancel = Cancel()
    cancel.set()
    (stopped,) = stream(tiny_host, request, cancel)
    assert stopped.end == "cancelled" and stopped.text == "" and stopped.request is request
