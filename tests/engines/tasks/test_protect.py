"""What a translation must not change is found, kept in the target's form, and put back where it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.tasks.protect import MARK, mask, restore, unmask

NARROW = "\u202f"
HARD = "\u00a0"


def written(text: str, source: str = "en", target: str = "de") -> list[str]:
    return [span.written for span in mask(text, source, target)[1]]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("{{name}} has %d messages and {0} errors", ["{{name}}", "%d", "{0}"]),
        ("Hi ${user}, %(count)s left, 100%% sure", ["${user}", "%(count)s", "100", "%%"]),
        (r"{\an8}Well <i>now</i>,\Nwhat?", [r"{\an8}", "<i>", "</i>", r"\N"]),
        ("<b>Hello</b> world &amp; all", ["<b>", "</b>", "&amp;"]),
        ("See https://example.org/a?b=1&c=2, or write to jo.doe+x@mail.example.com.", None),
        ("Open report.pdf at www.example.com/x.", ["report.pdf", "www.example.com/x"]),
        ("Version 2.10.3 of `run --fast` by @ada", ["2.10.3", "`run --fast`", "@ada"]),
        ("Sleep 🐶😀 well 👩\u200d🚀 🇩🇪", ["🐶😀", "👩\u200d🚀", "🇩🇪"]),
        ("Half is 1/2, not 24/7", ["1/2", "24/7"]),
        ("5-10 dogs in 1999-2004, ISBN 978-3-16-148410-0", ["5-10", "1999-2004", "978-3-16-148410-0"]),
        ("At 192.168.0.1:8080 it took 1e-5 of 0x1F", ["192.168.0.1:8080", "1e-5", "0x1F"]),
        ("No numbers here", []),
    ],
)
def test_what_programs_and_people_read_as_one_is_one_span(text, kept):
    assert written(text) == (["https://example.org/a?b=1&c=2", "jo.doe+x@mail.example.com"] if kept is None else kept)


@pytest.mark.parametrize(
    ("text", "source", "target", "form"),
    [
        ("on 21 March 2024", "en", "de", "21. März 2024"),
        ("on March 21st, 2024", "en", "fr", "21 mars 2024"),
        ("am 21. März 2024", "de", "en", "21 March 2024"),
        ("le 1er mai 2020", "fr", "zh", "2020年5月1日"),
        ("在2024年3月21日", "zh", "de", "21. März 2024"),
        ("on 2024-03-21", "en", "de", "2024-03-21"),
        ("on 12/25/2024", "en", "de", "12/25/2024"),
        ("le 14/07/24.", "fr", "en", "14/07/24"),
        ("at 3:45 pm", "en", "de", "15:45 Uhr"),
        ("at 3.45 pm.", "en", "fr", "15 h 45"),
        ("at 3 PM.", "en", "de", "15 Uhr"),
        ("until 12 a.m. today", "en", "zh", "0:00"),
        ("à 15h30", "fr", "de", "15:30 Uhr"),
        ("um 9.30 Uhr", "de", "en", "9:30"),
        ("at 12:05 a.m.", "en", "fr", "0 h 05"),
        ("um 15:45 Uhr", "de", "en", "15:45"),
        ("um 15.45 Uhr", "de", "fr", "15 h 45"),
        ("at 3 pm", "en", "de", "15 Uhr"),
        ("at 3 pm", "en", "fr", "15 h"),
        ("à 15 h 45", "fr", "de", "15:45 Uhr"),
        ("auf Gleis 5 am Montag", "de", "en", "5"),
        ("on 03/21/2024", "en", "de", "03/21/2024"),
        ("3/4 of it", "en", "de", "3/4"),
        ("pages 5-10", "en", "fr", "5-10"),
        ("6.02e23 of them", "en", "de", "6.02e23"),
        ("at 10.0.0.1:8080", "en", "de", "10.0.0.1:8080"),
        ("a 16:9 screen", "en", "de", "16:9"),
        ("costs $1,250.50", "en", "de", f"1.250,50{HARD}$"),
        ("costs $1,250.50", "en", "fr", f"1{NARROW}250,50{HARD}$"),
        ("costs $1,250.50", "en", "zh", "$1,250.50"),
        ("kostet 1.250,50 €", "de", "en", "€1,250.50"),
        ("Il y a 36 786 personnes", "fr", "en", "36,786"),
        ("coûte 8 153,96 €", "fr", "de", f"8.153,96{HARD}€"),
        ("15% of it", "en", "de", f"15{HARD}%"),
        ("about 3.5 km", "en", "de", "3,5"),
        ("in 1984", "en", "de", "1984"),
        ("on -4 degrees", "en", "de", "-4"),
        ("共3个", "zh", "en", "3"),
    ],
)
def test_numbers_dates_and_times_take_the_form_of_the_target(text, source, target, form):
    assert written(text, source, target) == [form]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Yesterday Priya met Anna Kowalska in the park.", ["Priya", "Anna Kowalska"]),
        ("Maria Schmidt lives in Toulouse.", ["Maria Schmidt", "Toulouse"]),
        ("The train to Germany leaves on Monday.", []),
        ("Dogs bark. Cats sleep.", []),
        ("I told Mr Brown that the English are here.", ["Brown"]),
    ],
)
def test_names_are_capitalised_words_that_other_languages_write_the_same(text, names):
    assert written(text) == names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Der Hund liegt auf dem Sofa.", []),
        ("Ein Mann namens Rajesh Patel spricht mit Jürgen Maurer.", ["Rajesh Patel", "Jürgen Maurer"]),
        ("Svenja Brandt schläft. Anna Schmidt-Koch liest.", ["Svenja Brandt", "Anna Schmidt-Koch"]),
        ("Kleine Kinder trinken eine Tasse Kaffee mit Milch. Guten Morgen!", []),
        ("Zwei Hunde spielen mit einem Ball, und Kinder sehen zu.", []),
    ],
)
def test_in_german_names_are_two_capitalised_words_where_nouns_seldom_are(text, names):
    assert written(text, "de", "en") == names


def test_in_chinese_names_are_words_in_latin_letters():
    assert written("一个叫Rajesh Patel的男人在和Jürgen说话。", "zh", "en") == ["Rajesh Patel", "Jürgen"]


@pytest.mark.parametrize("number", ["+49 30 901820", "555-0142", "(020) 7946 0958", "+33 1 99 00 12 34"])
@pytest.mark.parametrize("text", ["Call me at {} after work.", "下班后给我打{}。"])
def test_a_telephone_number_is_copied_as_it_is(text, number):
    assert written(text.format(number), "zh" if "我" in text else "en", "de") == [number]


@given(st.text(max_size=80), st.sampled_from(["en", "de", "fr", "zh"]))
def test_any_text_comes_back_out_of_its_marks(text, source):
    masked, spans = mask(text, source, "en")
    assert unmask(masked, spans) == text
    assert len(MARK.findall(masked)) == len(spans)
    assert restore(masked, spans).count("\ue000") <= text.count("\ue000")
