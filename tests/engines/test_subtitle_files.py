"""A subtitle file in another language: what is read changes, everything else stays as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.subtitle_files import SUFFIXES, form, parts, split, translated

SRT = """1
00:00:01,000 --> 00:00:02,500
Good morning, everybody.

2
00:00:03,000 --> 00:00:05,000
We went to the old harbour
and waited for the boat,

3
00:00:05,200 --> 00:00:07,000
but it never came.

"""
VTT = """WEBVTT - a talk
Kind: captions

STYLE
::cue { color: yellow }

NOTE said quickly

intro
00:01.000 --> 00:02.500 align:start position:10%
<v Ann>Good <00:01.500>morning.

00:03.000 --> 00:05.000
- Who is there?
- It is me.
"""
ASS = """[Script Info]
Title: Good morning
[V4+ Styles]
Style: Default,Arial,44
[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,Not shown.
Dialogue: 0,0:00:01.00,0:00:02.50,Default,Ann,0,0,0,,{\\k30}Good {\\k20}morning, Bob.
"""
LRC = """[ar:Ann]
[ti:Good morning]
[00:01.00][00:31.00]Good <00:01.50>morning.
[00:03.20]The sun is up.
"""
FILES = {".srt": SRT, ".vtt": VTT, ".ass": ASS, ".lrc": LRC}


def shout(asked: list[str]):
    """Instead of a model: capitals, and what was asked."""

    def translate(text: str) -> Iterator[str]:
        asked.append(text)
        yield text[:3].upper()
        yield text.upper()

    return translate


def whole(text: str, suffix: str, asked: list[str] | None = None) -> str:
    *_, (last, share) = translated(text, suffix, "en", "de", shout([] if asked is None else asked))
    assert share == 1.0
    return last


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_format_is_known_by_its_text(suffix):
    assert form(FILES[suffix]) == suffix
    assert form("\ufeff" + FILES[suffix].replace("\n", "\r\n")) == suffix
    assert form("Good morning. [Applause]") is None and form("[Applause]") is None


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(st.data())
def test_the_parts_of_a_file_are_the_file_even_a_damaged_one(suffix, data):
    text = FILES[suffix]
    start, end = sorted(data.draw(st.integers(0, len(text))) for _ in range(2))
    damaged = text[:start] + data.draw(st.sampled_from(["", "\r\n", "\n\n", "-->"])) + text[end:]
    assert "".join(part.text for part in parts(damaged, suffix)) == damaged


def test_numbers_and_times_stay_and_a_sentence_is_translated_across_its_cues():
    asked: list[str] = []
    result = whole(SRT, ".srt", asked)
    assert asked == [
        "Good morning, everybody.",
        "We went to the old harbour and waited for the boat, but it never came.",
    ]
    assert [line for line in result.splitlines() if "-->" in line or line.isdigit()] == [
        line for line in SRT.splitlines() if "-->" in line or line.isdigit()
    ]
    cues = [" ".join(cue.splitlines()[2:]) for cue in result.strip().split("\n\n")]
    assert cues == [
        "GOOD MORNING, EVERYBODY.",
        "WE WENT TO THE OLD HARBOUR AND WAITED FOR THE BOAT,",
        "BUT IT NEVER CAME.",
    ]


def test_a_long_translation_stands_in_two_lines():
    lines = whole(SRT, ".srt").split("\n\n")[1].splitlines()[2:]
    assert len(lines) == 2 and all(len(line) <= 42 for line in lines)


def test_settings_styles_notes_and_speakers_stay():
    result = whole(VTT, ".vtt")
    for kept in ("Kind: captions", "::cue { color: yellow }", "NOTE said quickly", "intro", "align:start position:10%"):
        assert kept in result
    assert "<V ANN>GOOD MORNING." in result, "word times went, they belong to the words of the original"
    assert "- WHO IS THERE?\n- IT IS ME." in result


def test_only_the_text_of_a_dialogue_changes_its_commas_too():
    result = whole(ASS, ".ass")
    assert result.endswith("Dialogue: 0,0:00:01.00,0:00:02.50,Default,Ann,0,0,0,,GOOD MORNING, BOB.\n")
    assert result.splitlines()[:-1] == ASS.splitlines()[:-1]


def test_every_line_of_a_song_keeps_its_times():
    assert whole(LRC, ".lrc") == (
        "[ar:Ann]\n[ti:Good morning]\n[00:01.00][00:31.00]GOOD MORNING.\n[00:03.20]THE SUN IS UP.\n"
    )


def test_line_ends_of_another_system_stay():
    result = whole(SRT.replace("\n", "\r\n"), ".srt")
    assert result.count("\r\n") == result.count("\n")


def test_a_translation_cannot_end_a_cue():
    def odd(text: str) -> Iterator[str]:
        yield "a\n\nb --> c"

    *_, (last, _) = translated(SRT.split("\n\n")[0] + "\n", ".srt", "en", "de", odd)
    assert last == "1\n00:00:01,000 --> 00:00:02,500\na\nb → c\n"


def test_the_file_grows_cue_by_cue():
    grown = list(translated(SRT, ".srt", "en", "de", shout([])))
    assert "GOO\n" in grown[0][0] and "We went" in grown[0][0]
    shares = [share for _, share in grown]
    assert shares == sorted(shares)


@given(st.text("ab, 。", max_size=40), st.lists(st.floats(0.1, 0.9), max_size=4), st.sampled_from(["en", "zh"]))
def test_a_text_is_cut_into_as_many_parts_as_asked_and_nothing_is_lost(text, edges, language):
    found = split(text, sorted(edges), language)
    assert len(found) == len(edges) + 1
    assert "".join("".join(found).split()) == "".join(text.split())
