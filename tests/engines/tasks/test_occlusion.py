"""Which words of a translation say a part of its source."""

from __future__ import annotations

import pytest

from engines.tasks.carry import places


@pytest.mark.parametrize(
    ("source", "translation", "target", "part", "said"),
    [
        ("A red car is parked in front of the house.", "Ein rotes Auto parkt vor dem Haus.", "de", "red", "rotes"),
        ("See you tomorrow at the park!", "À demain au parc !", "fr", "tomorrow", "demain"),
        ("A red car is parked in front of the house.", "一辆红色的汽车停在房子前面。", "zh", "red", "红"),
    ],
)
def test_words_that_become_less_likely_say_the_hidden_part(builtin, source, translation, target, part, said):
    start = source.index(part)
    ((a, b),) = places(builtin._encoder, source, translation, target, [(start, start + len(part))])
    assert translation[a:b] == said


def test_where_nothing_can_be_hidden_all_of_it_is_meant(encoder):
    assert places(encoder, "", "Hallo", "de", [(0, 0)]) == [(0, 5)]
    assert places(encoder, "Hello", "", "de", [(0, 5)]) == [(0, 0)]
    ((start, end),) = places(encoder, "Hello", "Hallo du", "de", [(0, 5)])
    assert 0 <= start < end <= 8
