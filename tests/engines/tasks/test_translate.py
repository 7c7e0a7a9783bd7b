"""Translation goes sentence by sentence, keeps lines, and passes through English where it must."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.encoder import MediaEncoder
from engines.protocol import TranslateRequest, run
from engines.tasks import carry, translate
from engines.tasks.carry import Draft


@pytest.fixture
def spelt_out(monkeypatch) -> list[tuple[str, str]]:
    """Instead of a model: every sentence becomes itself in brackets. Gives the list of what was asked."""
    asked: list[tuple[str, str]] = []

    def attempts(encoder: MediaEncoder, text: str, wanted: object, target: str) -> Iterator[tuple[Draft, bool]]:
        asked.append((text, target))
        yield Draft("", plain="["), False
        yield Draft("", plain=f"[{text}]"), True

    monkeypatch.setattr(carry, "_attempts", attempts)
    return asked


def translated(encoder: MediaEncoder, text: str, source: str = "en", target: str = "de") -> str:
    *_, last = translate.stream(encoder, TranslateRequest(text=text, source=source, target=target))
    assert last.end == "finished"
    return last.text


def test_each_sentence_is_translated_by_itself(encoder, spelt_out):
    assert translated(encoder, "Hello there. How are you?") == "[Hello there.] [How are you?]"
    assert spelt_out == [("Hello there.", "de"), ("How are you?", "de")]


def test_line_breaks_stay_where_they_are(encoder, spelt_out):
    assert translated(encoder, "A title\n\nA line. Another.") == "[A title]\n\n[A line.] [Another.]"


def test_chinese_is_joined_without_spaces(encoder, spelt_out):
    assert translated(encoder, "One. Two.", "en", "zh") == "[One.][Two.]"
    assert translated(encoder, "你好。再见！", "zh", "en") == "[你好。] [再见！]"


def test_a_pair_without_english_goes_by_way_of_it(encoder, spelt_out):
    results = list(translate.stream(encoder, TranslateRequest(text="Guten Tag.", source="de", target="fr")))
    assert spelt_out == [("Guten Tag.", "en"), ("[Guten Tag.]", "fr")]
    assert "[Guten Tag.]" not in {result.text for result in results}, "the English is not shown"


def test_a_very_long_sentence_is_cut_at_its_commas(encoder, spelt_out):
    sentence = ", ".join(["the green house on the hill above the old town"] * 20)
    translated(encoder, sentence)
    assert len(spelt_out) > 1 and all(len(part) < 700 for part, _ in spelt_out)
    assert " ".join(part for part, _ in spelt_out) == sentence


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("Dr. Smith came. He sat.", ["Dr. Smith came.", "He sat."]),
        ("It cost 3.50 euros. Why?", ["It cost 3.50 euros.", "Why?"]),
        ("„Komm!“ Er ging.", ["„Komm!“", "Er ging."]),
        ("Wait... what?", ["Wait... what?"]),
        ("早。走吧！好", ["早。", "走吧！", "好"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(line, wanted):
    assert translate.sentences(line) == wanted


@given(st.text(alphabet="ab .!?。，A\t", max_size=60))
def test_no_letter_is_lost_in_cutting(line):
    assert "".join("".join(translate.sentences(line)).split()) == "".join(line.split())


# --- what is carried over ----------------------------------------------------------------------------------------


def test_words_that_come_back_are_replaced_by_what_they_stand_for(encoder, spelt_out):
    text = "The meeting is on 21 March 2024 at 3:45 pm and {{name}} pays $1,250.50."
    assert translated(encoder, text, "en", "fr") == (
        "[The meeting is on 21 mars 2024 at 15 h 45 and {{name}} pays 1\u202f250,50\u00a0$.]"
    )
    assert spelt_out == [("The meeting is on Monday at 5:30 and Tom pays 12 dollars.", "fr")]


def test_emoji_and_markup_at_the_ends_are_set_aside(encoder, spelt_out):
    assert translated(encoder, "<b>The dog is sleeping.</b> 🐶😀") == "<b>[The dog is sleeping.]</b> 🐶😀"
    assert translated(encoder, "😀 Hello!") == "😀 [Hello!]"


def test_capitals_are_translated_as_small_letters_and_given_back(encoder, spelt_out):
    text = "THE DOG AND I SLEEP ON THE SOFA."
    assert translated(encoder, text) == f"[{text}]"
    assert spelt_out == [("The dog and I sleep on the sofa.", "de")]


def test_full_width_and_invisible_letters_are_folded(encoder, spelt_out):
    assert translated(encoder, "ａ do\u200bg") == "[a dog]"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("1 2 3 4 5 6 7 8 9 10", "en"),
        ("$1,250.50", "en"),
        ("...", "en"),
        ("مرحبا بالعالم", "en"),
        ("これは日本語です。", "zh"),
        ("Hello there.", "zh"),
        ("你好。", "en"),
        ("🐶😀 {{name}}", "en"),
    ],
)
def test_what_is_not_in_the_source_language_comes_back_as_it_is(encoder, spelt_out, text, source):
    target = "de" if source == "en" else "en"
    assert translated(encoder, text, source, target) == text and not spelt_out


def test_subtitles_keep_their_times(encoder, spelt_out):
    text = "1\n00:00:01,000 --> 00:00:02,500\nHello there,\n\n2\n00:00:03,000 --> 00:00:04,000\nmy friend.\n"
    assert translated(encoder, text) == text.replace("Hello", "[Hello").replace(".\n", ".]\n")
    assert spelt_out == [("Hello there, my friend.", "de")]


def test_a_copy_needs_no_model(encoder, spelt_out):
    assert [found.text for found in translate.growing(encoder, "As it is.", "en", "en")] == ["As it is."]
    assert not spelt_out


def test_a_translation_grows_on_the_model_itself(encoder):
    results = list(translate.stream(encoder, TranslateRequest(text="Hello. You.", source="en", target="de")))
    shares = [result.progress.done for result in results if result.progress]
    assert shares == sorted(shares) and 0.0 <= shares[0] < 1.0 == shares[-1]
    assert len({result.text for result in results}) > 5


@pytest.mark.parametrize(("source", "target"), [("en", "de"), ("de", "en"), ("en", "fr"), ("en", "zh"), ("de", "fr")])
def test_the_built_in_model_translates(builtin, source, target):
    text = {"en": "A dog is running on the beach.", "de": "Ein Hund rennt am Strand."}[source]
    words = {"de": "Hund", "en": "dog", "fr": "chien", "zh": "狗"}
    assert words[target] in run(builtin, TranslateRequest(text=text, source=source, target=target)).text
