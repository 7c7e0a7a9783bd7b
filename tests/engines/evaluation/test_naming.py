"""Whether a caption names a photo: whole words, plurals folded, Chinese as it stands."""

from __future__ import annotations

import pytest

from engines.archives import ConceptRecord
from engines.evaluation.harness import selective_rows
from engines.evaluation.metrics import holds_answer, same_answer
from engines.evaluation.suites import accepted_names, holds_name


@pytest.mark.parametrize(
    ("text", "accepted", "right"),
    [
        ("Two cats on a sofa.", "cat", True),
        ("A catalogue on a sofa.", "cat", False),
        ("A cup of espresso.", "espresso", True),
        ("Some wine glasses.", "wine glass", True),
        ("A bus stop.", "bus", True),
        ("A jack-o'-lantern.", "jack o lantern", True),
        ("A T-shirt.", "t shirt", True),
    ],
)
def test_a_name_counts_as_a_whole_word(text, accepted, right):
    assert holds_name(text, (accepted,), "en") is right


def test_in_chinese_a_name_counts_where_it_stands():
    assert holds_name("一只埃及猫在沙发上。", ("猫",), "zh")


def test_in_other_languages_the_names_of_groups_count_too():
    records = [
        ConceptRecord({"en": "tabby", "de": "Tigerkatze", "fr": "chat tigré", "zh": "虎斑猫"}, ("cat",)),
        ConceptRecord({"en": "lynx", "de": "Luchs", "fr": "lynx", "zh": "猞猁"}, ("lynx", "cat")),
    ]
    assert accepted_names(records, "de")[0] == ("Tigerkatze", "Katze")
    assert "cat" in accepted_names(records, "en")[1]


def test_accuracy_of_the_most_confident_results_and_no_rows_without_confidence():
    rows = selective_rows("doubt.x", [True, True, False, False, False], [0.9, 0.8, 0.7, 0.2, 0.1])
    assert rows["doubt.x.accuracy_at_60"].value == pytest.approx(200 / 3)
    assert rows["doubt.x.accuracy_at_80"].value == pytest.approx(50.0)
    assert selective_rows("doubt.x", [True], [None])["doubt.x.accuracy_at_60"].skipped


def test_numbers_may_be_digits_or_words_and_a_reply_may_hold_the_answer():
    assert same_answer("Two.", "2")
    assert holds_answer("She is doing yoga on a terrace", "yoga")
    assert not holds_answer("yogurt", "yoga")
