"""What a photo is worth to a masked noun, counted."""

from __future__ import annotations

from collections.abc import Iterator

from engines.lab.masked_translation import MaskedRequest, MaskedResult
from engines.protocol import Cancel
from scripts import measure_masked_translation as script
from scripts.measure_masked_translation import NOUNS, Case
from tests.fake_host import FakeHost
from tests.tiny_data import make_tiny_data


def case(noun: str, reference: str, target: str = "de") -> Case:
    return Case(noun, MaskedRequest(text=f"A {noun} runs", target=target), reference)


def test_a_noun_is_back_in_any_of_its_words_and_the_rest_is_counted_without_it():
    german = case("people", "Zwei Personengruppen laufen am Strand.")
    assert german.scores("Zwei Menschen laufen im Schnee.") == (1.0, 0.5)
    assert german.scores("Ein Hund.") == (0.0, 0.0)
    assert case("dog", "一只狗在跑。", "zh").scores("一只狗在睡。")[0] == 1.0


def test_another_photo_is_of_the_next_sentence_that_lost_another_noun():
    found = [case("dog", ""), case("dog", ""), case("boat", "")]
    assert [script._other(found, n).noun for n in range(3)] == ["boat", "boat", "dog"]


def test_the_command_prints_a_table_for_each_language(tmp_path, monkeypatch, capsys):
    """A stand-in for the model that finds the noun again exactly when it is given a photo."""

    def answer(host: object, request: MaskedRequest, cancel: Cancel | None = None) -> Iterator[MaskedResult]:
        seen = request.photo is not None or not request.hidden
        all_nouns = " ".join(found[request.target == "zh"].split("|")[0] for found in NOUNS.values())
        yield MaskedResult(request=request, text=all_nouns if seen else "nichts", end="finished")

    make_tiny_data(tmp_path)
    monkeypatch.setattr(script, "stream", answer)
    monkeypatch.setattr(script, "open_host", lambda *_: FakeHost())
    arguments = ["--data", str(tmp_path), "--limit", "2", "--weights", "0.5", "--targets", "zh", "de"]
    assert script.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.isupper()] == ["ENGLISH TO ZH", "ENGLISH TO DE"]
    assert [line.split()[-3] for line in lines if line.startswith("its photo, weight 0.5")] == ["100.0", "100.0"]
    assert [line.split()[-3] for line in lines if line.startswith("text alone, '...'")] == ["0.0", "0.0"]


def test_the_command_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script, "open_host", lambda *_: FakeHost())
    assert script.main(["--data", str(tmp_path)]) == 1
    assert "the data has no photos" in capsys.readouterr().err
