"""Answers side by side: what is marked, what is said of what is not there, and how a run ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines import AskRequest, AskResult, Progress
from engines.lab.masked_translation import MaskedRequest, MaskedResult, Part
from studio.i18n import text
from studio.tabs.masking import view

ASKED = MaskedRequest(text="A dog <runs>", hidden=frozenset({1}))
ALONE = MaskedResult(
    request=ASKED, text="Ein Rucksack", parts=(Part("Ein"), Part(" Rucksack")), seconds=1.0, end="finished"
)
SEEN = MaskedResult(
    request=ASKED, text="Ein Hund", parts=(Part("Ein", 0.2), Part(" Hund", 0.9)), seconds=2.0, end="finished"
)
CLIP = AskRequest(media=Path("dog.mp4"), question="What <b>barks</b>?")


def test_words_owed_to_the_photo_are_marked_in_its_side_alone(info):
    found = view.translations((ALONE, SEEN), info, True)
    assert found.count("<mark") == 1 and '<mark class="owed" title="90%">Hund</mark>' in found
    assert text("ui.masking.owed", "en") in found and text("ui.masking.owed", "zh") in found
    assert "A ___ &lt;runs&gt;" in found and "3.0 s" in found and "is-done" in found and found.count("data-copied") == 2


def test_where_nothing_is_owed_the_page_says_so(info):
    assert text("ui.masking.unmoved", "en") in view.translations((ALONE, ALONE), info, True)


def test_the_second_waits_for_the_first_and_is_then_written(info):
    growing = MaskedResult(request=ASKED, text="Ein &", progress=Progress("writing"))
    first = view.translations((growing, None), info, False)
    assert "is-busy" in first and "Ein &amp;" in first and text("ui.compare.next", "en") in first
    looking = MaskedResult(request=ASKED, progress=Progress("looking"))
    assert text("ui.stage.looking", "en") in view.translations((ALONE, looking), info, False)


def test_a_stop_keeps_what_is_there(info):
    stopped = MaskedResult(request=ASKED, text="Ein", end="cancelled")
    found = view.translations((stopped, None), info, True)
    assert "is-stopped" in found and ">Ein<" in found and text("ui.stopped.early", "en") in found
    assert text("ui.masking.unmoved", "en") not in found


def test_three_answers_each_with_how_sure_it_is(info):
    answers = [AskResult(request=CLIP, text="A <dog>", confidence=sure, end="finished") for sure in (0.9, 0.7, 0.0)]
    found = view.answers(answers, info, True)
    assert "90% sure" in found and "70% sure" in found and found.count("meter") == 2
    assert "&lt;b&gt;barks" in found and found.count("A &lt;dog&gt;") == 3
    assert all(text(f"ui.muting.{name}", "en") in found for name in ("all", "picture", "sound"))


@pytest.mark.parametrize(("end", "key"), [("empty", "ui.silent"), ("finished", "ui.caption.nothing")])
def test_no_answer_has_a_reason(info, end, key):
    nothing = AskResult(request=CLIP, end=end)
    assert view.answers([nothing] * 3, info, True).count(text(key, "en")) == 3
