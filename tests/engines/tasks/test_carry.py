"""Every mark of a sentence stands exactly once in its translation, whatever the model writes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engines.decoding import DecodeOptions, Hypothesis
from engines.encoder import MediaEncoder
from engines.protocol import LANGUAGES, TranslateRequest, run
from engines.tasks import carry
from engines.tasks.protect import MARK, mask, restore


def carried(encoder: MediaEncoder, text: str, target: str = "de") -> str:
    masked, spans = mask(text, "en", target)
    *_, last = carry.translated(encoder, masked, spans, "en", target)
    assert sorted(MARK.findall(last.text)) == sorted(MARK.findall(masked))
    return restore(last.text, spans)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("{{name}} %d", "zh"),
        ("<b>the 15% dog</b> runs 😀 at 3:45", "de"),
        ("$5 and 15 and 17 and 18 and 19 and 14 and 16 and 25 and 35 and 36 dogs", "fr"),
    ],
)
def test_a_model_that_has_learnt_nothing_loses_nothing(encoder, text, target):
    carried(encoder, text, target)


def answers(monkeypatch: pytest.MonkeyPatch, encoder: MediaEncoder, *texts: str) -> list[DecodeOptions]:
    """The model writes these texts, one after the other; gives the options it was asked with."""
    left, asked = list(texts), list[DecodeOptions]()

    def generate(*args: object) -> Iterator[tuple[Hypothesis, ...]]:
        assert isinstance(args[-1], DecodeOptions)
        asked.append(args[-1])
        ids = tuple(encoder.tokenizer.encode(left.pop(0)))
        yield (Hypothesis(ids, -0.5, True, alternatives=((ids, -0.5),)),)

    monkeypatch.setattr(carry, "generate", generate)
    encoder.sentences.clear()
    return asked


def test_a_word_that_is_lost_or_doubled_is_required(encoder, monkeypatch):
    asked = answers(monkeypatch, encoder, "Tom hat 15 und 15.", "Tom hat 15 Hunde.")
    assert carried(encoder, "{{name}} has 3 dogs.") == "{{name}} hat 3 Hunde."
    assert [len(options.required) for options in asked] == [0, 2] and asked[1].beam > asked[0].beam


def test_a_number_that_nobody_wrote_is_not_taken(encoder, monkeypatch):
    asked = answers(monkeypatch, encoder, "Tom hat 15,000 Hunde.", "Tom hat 15 Hunde.")
    assert carried(encoder, "{{name}} has 3 dogs.") == "{{name}} hat 3 Hunde." and len(asked) == 2


def test_where_no_word_can_be_placed_it_is_put_beside_the_words(encoder, monkeypatch):
    answers(monkeypatch, encoder, "Hallo.", "Hallo.", "Hallo da.")
    assert sorted(carried(encoder, "Hello {{name}} there.").split()) == ["Hallo", "da.", "{{name}}"]


def test_a_sentence_is_translated_once(encoder, monkeypatch):
    asked = answers(monkeypatch, encoder, "Hallo Tom.")
    assert carried(encoder, "Hello {{name}}.") == "Hallo {{name}}." and carried(encoder, "Hello {0}.") == "Hallo {0}."
    assert len(asked) == 1


@pytest.mark.parametrize("kind", carry.STAND_INS)
def test_a_word_is_found_in_every_language_it_is_written_in_and_in_no_longer_one(kind):
    for stand_in in carry.STAND_INS[kind]:
        for language in LANGUAGES:
            word = stand_in.written[language]
            assert stand_in.pattern.fullmatch(word)
            if language != "zh":
                assert not stand_in.pattern.search(f"1{word}") and not stand_in.pattern.search(f"x{word}")


@pytest.mark.parametrize(
    ("text", "target", "said"),
    [
        ("A <b>red</b> car is parked in front of the house.", "de", "<b>rotes</b> Auto"),
        ("Click <i>here</i> to read the book.", "de", "<i>hier</i>"),
        ("The meeting is on 21 March 2024 at 3:45 pm.", "de", "21. März 2024"),
        ("{{name}} paid $1,250.50 for 22 tickets.", "fr", "1\u202f250,50\u00a0$"),
        ("一个叫Rajesh Patel的男人在和狗玩。", "en", "Rajesh Patel"),
    ],
)
def test_the_built_in_model_carries_over_and_puts_tags_where_their_words_are(builtin, text, target, said):
    source = "zh" if target == "en" else "en"
    result = run(builtin, TranslateRequest(text=text, source=source, target=target))
    assert said in result.text
