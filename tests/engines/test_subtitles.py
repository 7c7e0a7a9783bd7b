"""Subtitles say what the segments say, at their times, in the words of each format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import RequestError
from engines.protocol import Segment, Word
from engines.subtitles import write

TWO = (
    Segment(0.0, 1.5, "Good morning.", (Word(0.0, 0.6, "Good"), Word(0.6, 1.5, "morning.")), "Guten Morgen."),
    Segment(3661.25, 3662.0, "a < b & c > d", (), "很好"),
)


@dataclass(frozen=True)
class Cue:
    start_s: float
    end_s: float
    text: str


SPAN = re.compile(r"(\d\d+):([0-5]\d):([0-5]\d)([.,])(\d{3}) --> (\d\d+):([0-5]\d):([0-5]\d)\4(\d{3})")


def span(line: str, point: str) -> tuple[float, float]:
    match = SPAN.fullmatch(line)
    assert match is not None and match[4] == point, line
    parts = [int(part) for i, part in enumerate(match.groups(), 1) if i != 4]
    first, last = parts[:4], parts[4:]
    return tuple(h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in (first, last))


def parsed_srt(text: str) -> list[Cue]:
    """Numbered blocks with an empty line between them, as players read them."""
    cues = []
    for n, block in enumerate(filter(None, text.split("\n\n")), 1):
        number, times, *lines = block.strip("\n").split("\n")
        assert number == str(n) and lines
        cues.append(Cue(*span(times, ","), "\n".join(lines)))
    return cues


def parsed_vtt(text: str) -> list[Cue]:
    head, *blocks = text.split("\n\n")
    assert head.rstrip("\n") == "WEBVTT"
    cues = []
    for block in filter(None, blocks):
        times, *lines = block.strip("\n").split("\n")
        assert lines and not any("-->" in line or "<" in line for line in lines)
        said = "\n".join(lines).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        cues.append(Cue(*span(times, "."), said))
    return cues


@pytest.mark.parametrize(
    ("format", "written"),
    [
        ("srt", "1\n00:00:00,000 --> 00:00:01,500\nGood morning.\n\n2\n01:01:01,250 --> 01:01:02,000\na < b & c > d\n"),
        (
            "vtt",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nGood morning.\n\n"
            "01:01:01.250 --> 01:01:02.000\na &lt; b &amp; c &gt; d\n",
        ),
        ("txt", "Good morning.\na < b & c > d\n"),
        ("tsv", "start\tend\ttext\n0\t1500\tGood morning.\n3661250\t3662000\ta < b & c > d\n"),
        ("lrc", "[00:00.00]Good morning.\n[61:01.25]a < b & c > d\n"),
    ],
)
def test_every_format_is_written_as_players_expect_it(format, written):
    assert write(TWO, format) == written


def test_json_keeps_both_texts_and_the_words():
    assert json.loads(write(TWO, "json")) == {
        "segments": [
            {
                "start_s": 0.0,
                "end_s": 1.5,
                "text": "Good morning.",
                "translation": "Guten Morgen.",
                "words": [
                    {"start_s": 0.0, "end_s": 0.6, "text": "Good"},
                    {"start_s": 0.6, "end_s": 1.5, "text": "morning."},
                ],
            },
            {"start_s": 3661.25, "end_s": 3662.0, "text": "a < b & c > d", "translation": "很好"},
        ]
    }
    assert "很好" in write(TWO, "json")  # readable, not escaped
    assert json.loads(write((), "json")) == {"segments": []}


@pytest.mark.parametrize("format", ["srt", "vtt", "txt"])
def test_the_translation_takes_the_place_of_what_was_said(format):
    text = write(TWO, format, text="translation")
    assert "Guten Morgen." in text and "很好" in text and "Good morning" not in text


def test_a_segment_without_a_translation_is_left_out_and_the_numbers_close_up():
    segments = (Segment(0, 1, "one", (), ""), Segment(1, 2, "two", (), "zwei"))
    assert write(segments, "srt", text="translation") == "1\n00:00:01,000 --> 00:00:02,000\nzwei\n"


@pytest.mark.parametrize(("format", "nothing"), [("srt", ""), ("vtt", "WEBVTT\n"), ("txt", "")])
def test_nothing_said_makes_a_file_without_cues(format, nothing):
    assert write((), format) == nothing
    assert write((Segment(0, 1, "  \n "),), format) == nothing


def test_a_text_that_would_end_its_cue_stays_in_it():
    segments = (Segment(0, 1, "first\n\nsecond --> third\r\n"),)
    assert [cue.text for cue in parsed_srt(write(segments, "srt"))] == ["first second → third"]
    assert [cue.text for cue in parsed_vtt(write(segments, "vtt"))] == ["first second → third"]


def test_a_segment_of_no_length_is_shown_long_enough_to_be_seen():
    (cue,) = parsed_srt(write((Segment(2, 2, "ah"),), "srt"))
    assert (cue.start_s, cue.end_s) == (2, 2.1)


def test_rounding_carries_over_into_the_next_unit():
    assert "00:01:00,000 --> 01:00:00,000" in write((Segment(59.9996, 3599.9999, "a"),), "srt")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(
    st.lists(st.builds(Segment, st.floats(-1, 400_000), st.floats(-1, 400_000), TEXTS, translation=TEXTS), max_size=5)
)
def test_what_is_written_can_be_read_back(segments):
    for translation in (False, True):
        texts = [
            (s, " ".join((s.translation if translation else s.text).split()).replace("-->", "→")) for s in segments
        ]
        told = [(segment, text) for segment, text in texts if text]
        for cues in (
            parsed_srt(write(segments, "srt", text="translation" if translation else "original")),
            parsed_vtt(write(segments, "vtt", text="translation" if translation else "original")),
        ):
            assert [cue.text for cue in cues] == [text for _, text in told]
            for cue, (segment, _) in zip(cues, told, strict=True):
                assert cue.start_s == pytest.approx(max(0, segment.start_s), abs=0.001)
                assert cue.end_s >= cue.start_s + 0.099
    assert [row["text"] for row in json.loads(write(segments, "json"))["segments"]] == [s.text for s in segments]


def test_an_unknown_format_lists_the_known_ones():
    with pytest.raises(RequestError) as caught:
        write(TWO, "doc")
    assert caught.value.en == "'doc' is no subtitle format; choose one of srt, vtt, txt, json, tsv, lrc, ass."


# --- both texts, and words --------------------------------------------------------------------------------------


def test_both_texts_stand_one_above_the_other_in_every_format():
    first, second = "Good morning.", "Guten Morgen."
    assert write(TWO[:1], "txt", text="both") == f"{first}\n{second}\n"
    assert parsed_srt(write(TWO, "srt", text="both"))[0].text == f"{first}\n{second}"
    assert parsed_vtt(write(TWO, "vtt", text="both"))[0].text == f"{first}\n{second}"
    assert write(TWO[:1], "tsv", text="both") == (f"start\tend\ttext\ttranslation\n0\t1500\t{first}\t{second}\n")
    assert write(TWO[:1], "lrc", text="both") == f"[00:00.00]{first}\n[00:00.00]{second}\n"
    assert write(TWO[:1], "ass", text="both").endswith(f",Default,,0,0,0,,{first}\\N{second}\n")


def test_a_segment_without_a_translation_keeps_its_original_among_both():
    segments = (Segment(0, 1, "one"), Segment(1, 2, "two", (), "zwei"))
    assert write(segments, "txt", text="both") == "one\n\ntwo\nzwei\n"
    assert write(segments, "tsv", text="both").splitlines()[1] == "0\t1000\tone\t"


def test_ass_has_a_style_and_its_own_times():
    head, _, events = write(TWO, "ass").partition("[Events]\n")
    assert head.startswith("[Script Info]\n") and "\nStyle: Default," in head
    assert events.splitlines()[1:] == [
        "Dialogue: 0,0:00:00.00,0:00:01.50,Default,,0,0,0,,Good morning.",
        "Dialogue: 0,1:01:01.25,1:01:02.00,Default,,0,0,0,,a < b & c > d",
    ]


def test_words_light_up_as_they_are_said_in_the_formats_that_can():
    assert "\nGood <00:00:00.600>morning.\n" in write(TWO, "vtt", words=True)
    assert write(TWO, "lrc", words=True).startswith("[00:00.00]<00:00.00>Good <00:00.60>morning.\n")
    assert "{\\k60}Good {\\k90}morning.\n" in write(TWO, "ass", words=True)
    assert write(TWO, "srt", words=True) == write(TWO, "srt")


def test_karaoke_fills_a_cue_however_its_words_are_spaced():
    chinese = Segment(1.0, 3.0, "《早上好。", (Word(1.2, 1.6, "早上"), Word(2.0, 2.9, "好。")))
    line = write((chinese,), "ass", words=True).splitlines()[-1]
    assert line.endswith(",,{\\k100}《早上{\\k100}好。")


def test_words_that_are_not_those_of_the_line_are_left_out():
    segment = Segment(0, 1, "one two", (Word(0, 1, "three"),), "eins")
    for format in ("vtt", "lrc", "ass"):
        assert write((segment,), format, words=True) == write((segment,), format)
        translated = write(TWO[:1], format, text="translation", words=True)
        assert translated == write(TWO[:1], format, text="translation")


def test_what_ass_would_read_as_a_tag_stays_text():
    line = write((Segment(0, 1, r"{\b1}C:\new"),), "ass").splitlines()[-1]
    assert "{\\b1}" not in line.replace("\\{", "") and "\\n" not in line
