"""Words are hidden, and what is asked of them is checked; what a photo is worth is counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engines.errors import AbilityError, RequestError
from engines.hosts.builtin import BuiltinHost
from engines.lab import masked_translation as masking
from engines.lab.masked_translation import NOUNS, PAIRS, Case, MaskedRequest, MaskedResult, stream, words
from engines.protocol import Cancel, Photo
from engines.tasks.caption import DIRECT
from engines.tasks.translate import PIVOT
from tests.fake_host import FakeHost
from tests.tiny_data import make_tiny_data

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
def test_hidden_words_leave_a_gap_and_their_marks(text: str, source: str, hidden: set[int], shown: str) -> None:
    target = "en" if source == "zh" else "de"
    assert MaskedRequest(text=text, source=source, target=target, hidden=frozenset(hidden)).shown == shown


def test_a_gap_may_be_nothing_at_all() -> None:
    assert MaskedRequest(text=TEXT, hidden=frozenset({1, 2}), blank="").shown == "A dog, on the beach."


def test_words_carry_their_marks_and_chinese_is_cut_into_characters() -> None:
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
def test_what_makes_no_sense_is_one_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        MaskedRequest(**{"text": TEXT, **wrong})


def test_the_pairs_are_those_translated_in_one_step_into_a_language_of_captions() -> None:
    assert set(PAIRS) == {f"{a}-{b}" for a in DIRECT for b in DIRECT if a != b and PIVOT in (a, b)}


def test_any_other_model_says_that_it_cannot() -> None:
    with pytest.raises(AbilityError, match="fake cannot write by text and photo at once"):
        stream(FakeHost(), MaskedRequest(text=TEXT))


def test_the_built_in_model_translates_signs_and_can_be_stopped(tiny_host: BuiltinHost, photo: Photo) -> None:
    request = MaskedRequest(text=TEXT, hidden=frozenset({3}), photo=photo)
    *growing, last = stream(tiny_host, request)
    assert isinstance(last, MaskedResult) and last.end == "finished" and last.host == tiny_host.info.name
    assert last.text.split() == "".join(part.text for part in last.parts).split() and growing[0].progress is not None
    cancel = Cancel()
    cancel.set()
    (stopped,) = stream(tiny_host, request, cancel)
    assert stopped.end == "cancelled" and stopped.text == "" and stopped.request is request


# --- what a photo is worth -------------------------------------------------------------------------------------------


def case(noun: str, whole: str, target: str = "de") -> Case:
    return Case(noun, MaskedRequest(text=f"A {noun} runs", target=target), whole)


def test_a_noun_is_back_in_any_of_its_words_and_the_rest_is_counted_without_it() -> None:
    german = case("people", "Zwei Personengruppen laufen am Strand.")
    assert german.scores("Zwei Menschen laufen im Schnee.") == (1.0, 0.5)
    assert german.scores("Ein Hund.") == (0.0, 0.0)
    assert case("dog", "一只狗在跑。", "zh").scores("一只狗在睡。")[0] == 1.0


def test_another_photo_is_of_the_next_sentence_that_lost_another_noun() -> None:
    found = [case("dog", ""), case("dog", ""), case("boat", "")]
    assert [masking._other(found, n).noun for n in range(3)] == ["boat", "boat", "dog"]


def test_the_command_prints_a_table_for_each_language(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stand-in for the model that finds the noun again exactly when it is given a photo."""

    def answer(host: object, request: MaskedRequest, cancel: Cancel | None = None) -> Iterator[MaskedResult]:
        seen = request.photo is not None or not request.hidden
        all_nouns = " ".join(found[request.target == "zh"].split("|")[0] for found in NOUNS.values())
        yield MaskedResult(request=request, text=all_nouns if seen else "nichts", end="finished")

    make_tiny_data(tmp_path)
    monkeypatch.setattr(masking, "stream", answer)
    monkeypatch.setattr(masking, "open_host", lambda *_: FakeHost())
    arguments = ["--data", str(tmp_path), "--limit", "2", "--weights", "0.5", "--targets", "zh", "de"]
    assert masking.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.isupper()] == ["ENGLISH TO ZH", "ENGLISH TO DE"]
    assert [line.split()[-3] for line in lines if line.startswith("its photo, weight 0.5")] == ["100.0", "100.0"]
    assert [line.split()[-3] for line in lines if line.startswith("text alone, '...'")] == ["0.0", "0.0"]


def test_the_command_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(masking, "open_host", lambda *_: FakeHost())
    assert masking.main(["--data", str(tmp_path)]) == 1
    assert "the data has no photos" in capsys.readouterr().err
