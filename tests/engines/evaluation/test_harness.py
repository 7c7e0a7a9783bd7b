"""Which items a limit leaves, and that an answer of the wrong kind is a defect."""

from __future__ import annotations

import pytest

from engines.evaluation.harness import Harness
from engines.evaluation.suites import evaluate
from engines.protocol import CaptionResult, TranslateRequest


def test_a_limit_spreads_over_the_whole_list(oracle, tiny):
    assert Harness(oracle, tiny, "dev", 3).take(range(9)) == [0, 3, 6]
    assert Harness(oracle, tiny, "dev").take(range(9), 2) == [0, 4]
    assert Harness(oracle, tiny, "dev", 3).take([]) == []


def test_an_answer_of_the_wrong_kind_is_a_defect_not_a_skipped_row(oracle, tiny):
    with pytest.raises(TypeError, match="fake answered a TranslateRequest with TranslateResult"):
        Harness(oracle, tiny, "dev").ask(TranslateRequest(text="Hi.", source="en", target="de"), CaptionResult)


def test_progress_is_silent_when_asked_to_be(oracle, tiny, capsys):
    assert list(Harness(oracle, tiny, "dev", quiet=True).each([1, 2], "things")) == [1, 2]
    assert capsys.readouterr().err == ""


def test_corpora_may_be_chosen_and_all_are_wanted_otherwise(oracle, tiny):
    harness = Harness(oracle, tiny, "dev", corpora=frozenset({"multi30k"}))
    assert harness.wants("multi30k") and not harness.wants("tatoeba")
    assert Harness(oracle, tiny, "dev").wants("tatoeba")
    assert not evaluate(harness, "speech")
    assert "translation.multi30k.en_de.bleu" in evaluate(harness, "translation")
