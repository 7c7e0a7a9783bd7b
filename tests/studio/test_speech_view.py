"""The transcript on the page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from engines import Pause, Segment, TranscribeRequest, TranscribeResult, Word
from studio.tabs.speech.view import N_WATCHED, changed_rows, rows, transcript

SPEECH = TranscribeResult(
    request=TranscribeRequest(media=Path("/home/somebody/talk.mp4"), translate_to="de"),
    language="en",
    segments=(Segment(61.5, 63.0, "Hello you", (Word(61.5, 62.0, "Hello"), Word(62.1, 63.0, "you", 0.3)), "Hallo"),),
    end="finished",
)


def test_every_line_and_word_can_be_jumped_to_and_taken_along(downloads, info):
    shown = transcript(SPEECH, downloads, info)
    assert 'data-seek="61.50"' in shown and 'data-seek="62.10"' in shown
    assert "1:01" in shown and "Hallo" in shown
    for kind in ("srt", "vtt", "txt", "json", "zip"):
        assert f".{kind}" in shown


def test_only_a_translated_transcript_asks_which_texts_to_save(downloads, info):
    assert transcript(SPEECH, downloads, info).count("data-texts=") == 3
    plain = replace(SPEECH, segments=(replace(SPEECH.segments[0], translation=""),))
    assert "data-texts=" not in transcript(plain, downloads, info)


@pytest.mark.parametrize(
    ("pauses", "said"),
    [
        ([], "no speech for 20 s"),
        ([Pause(1.0, 14.0, "music"), Pause(14.0, 21.0, "other")], "music for 20 s"),
        ([Pause(0.0, 21.0, "silence")], "silence for 20 s"),
        ([Pause(1.0, 6.0, "silence"), Pause(6.0, 21.0, "other")], "no speech for 20 s"),
        ([Pause(30.0, 90.0, "music")], "no speech for 20 s"),
    ],
)
def test_a_long_stretch_without_speech_says_what_is_heard_instead(pauses, said):
    shown = rows([Segment(0.0, 1.0, "one"), Segment(21.0, 22.0, "two")], pauses, duration_s=23.0)
    assert re.findall(r'lang="en">([a-z ]+ \d+ s)<', shown) == [said]


def test_music_after_the_last_line_is_marked_and_a_sound_without_speech_says_what_it_is(downloads, info):
    assert "8 秒音乐" in rows([Segment(0.0, 2.0, "one")], [Pause(2.0, 10.0, "music")], duration_s=10.0)
    for heard, said in (("music", "it is music"), ("silence", "it is silent"), ("other", "no speech in this.")):
        nothing = replace(SPEECH, segments=(), pauses=(Pause(0.0, 9.0, heard),), end="empty")
        assert said in transcript(nothing, downloads, info)


def test_doubtful_words_are_shaded_and_say_how_sure_the_model_is():
    words = (Word(0, 1, "sure", 0.95), Word(1, 2, "perhaps", 0.6), Word(2, 3, "hardly", 0.2), Word(3, 4, "mine"))
    shown = rows([Segment(0, 4, "sure perhaps hardly mine", words)])
    found = dict(re.findall(r'class="word([^"]*)"[^>]*>(\w+)<', shown)[i][::-1] for i in range(4))
    assert found == {"sure": "", "perhaps": " doubt-1", "hardly": " doubt-2", "mine": ""}
    assert "2.00–3.00 s · 20%" in shown


def test_a_translation_that_is_probably_wrong_says_so_beside_it_and_is_not_copied_with_it():
    line = Segment(0.0, 1.0, "dog", translation="Hut", translation_confidence=0.31, translation_unsure=True)
    shown = rows([line])
    assert "This translation is probably wrong (31% sure)." in shown and "这句译文很可能不对" in shown
    assert "probably" not in shown[shown.index("data-copied") : shown.index("</div>")]
    assert "probably" not in rows([replace(line, translation_unsure=False)])


def test_a_long_stretch_without_speech_is_marked_and_a_breath_is_not():
    shown = rows([Segment(8.0, 9.0, "One."), Segment(10.0, 11.0, "Two."), Segment(40.0, 41.0, "Three.")])
    assert re.findall(r"no speech for (\d+) s", shown) == ["8", "29"]


def test_no_two_lines_in_a_row_read_the_same_time():
    shown = rows([Segment(0.2, 0.5, "a"), Segment(0.7, 0.9, "b"), Segment(5.4, 6.0, "c")])
    assert re.findall(r'data-seek="[^"]*">([\d:.]+)<', shown) == ["0:00.2", "0:00.7", "0:05"]


def test_silence_is_an_answer(downloads, info):
    shown = transcript(replace(SPEECH, segments=(), end="empty"), downloads, info)
    assert "There is no speech in this." in shown
    assert ".srt" not in shown


def test_a_transcript_that_still_grows_cannot_be_corrected(downloads, info):
    shown = transcript(replace(SPEECH, end=None), downloads, info)
    assert "Hello" in shown and "data-correct" not in shown


def spoken(n_lines: int, file: Path) -> TranscribeResult:
    """A long transcript, of which each line has words with times."""
    lines = tuple(
        Segment(4.0 * n, 4.0 * n + 3, f"Line {n:04} ends.", tuple(Word(4.0 * n, 4.0 * n + 1, word) for word in "abc"))
        for n in range(n_lines)
    )
    request = TranscribeRequest(media=file)
    return TranscribeResult(request=request, duration_s=8000.0, segments=lines, end="finished")


def test_what_is_sent_at_each_step_does_not_grow_with_a_transcript(downloads, info, sound_file):
    steps = [transcript(replace(spoken(n, sound_file), end=None), downloads, info) for n in (200, 400, 1600)]
    assert [re.findall(r"Line (\d+) ends", shown)[0] for shown in steps] == ["0170", "0370", "1570"]
    assert {shown.count('class="segment"') for shown in steps} == {N_WATCHED}
    assert max(map(len, steps)) < min(map(len, steps)) + 100, "times and counts are a few digits longer"
    assert "1,570 lines before these" in steps[-1] and "前面还有 1570 行" in steps[-1].replace(",", "")
    assert "<button" not in steps[-1], "words and tools come with the whole"
    assert transcript(spoken(1600, sound_file), downloads, info).count('class="segment"') == 1600


def test_the_first_lines_of_a_transcript_stand_alone(downloads, info, sound_file):
    assert "before these" not in transcript(replace(spoken(N_WATCHED, sound_file), end=None), downloads, info)
    assert "1 line before these" in transcript(replace(spoken(N_WATCHED + 1, sound_file), end=None), downloads, info)


def test_the_recording_can_be_played_from_the_start_and_plays_on_when_its_transcript_is_there(
    downloads, info, sound_file
):
    talk = spoken(3, sound_file)
    begun = replace(talk, segments=(), end=None)
    steps = [transcript(step, downloads, info) for step in (begun, replace(talk, end=None), talk)]
    first = {re.findall(r'<div class="transcript"[^>]*>(<audio[^>]*>)', shown)[0] for shown in steps}
    assert len(first) == 1, "the same player in the same place: the page leaves it as it is"
    (player,) = first
    assert downloads.file(re.findall('/studio/file/([^"]+)', player)[0]) == sound_file


def test_a_transcript_whose_recording_is_gone_says_so_and_keeps_its_text(downloads, info, sound_file):
    assert "data-send" in transcript(spoken(2, sound_file), downloads, info)
    sound_file.unlink()
    shown = transcript(spoken(2, sound_file), downloads, info)
    assert "The recording is gone." in shown and "录音已不在。" in shown
    assert "<audio" not in shown and "data-send" not in shown, "there is nothing to play or to send"
    assert "data-correct" in shown and ".srt" in shown and shown.count('class="segment"') == 2


def test_each_line_can_be_cut_and_joined_by_buttons_that_name_it(sound_file):
    shown = rows(spoken(3, sound_file).segments)
    names = [re.sub("<[^>]+>", "", name) for name in re.findall(r'data-edit="(?:split|join)">(.*?)</button>', shown)]
    assert names == [
        "Split拆分 0:00",
        *("Split拆分 0:04", "Join to the line before并入上一行 0:04"),
        *("Split拆分 0:08", "Join to the line before并入上一行 0:08"),
    ], "there is no line before the first"


def test_the_texts_of_saved_files_are_one_group_of_radios_of_their_transcript(downloads, info):
    one, other = (transcript(SPEECH, downloads, info) for _ in range(2))
    groups = [
        re.findall(r'<input type="radio" name="([^"]+)" data-texts="(\w+)"( checked)?>', shown)
        for shown in (one, other)
    ]
    assert [(text, bool(checked)) for _, text, checked in groups[0]] == [
        ("both", True), ("original", False), ("translation", False)
    ]  # fmt: skip
    names = [{name for name, *_ in group} for group in groups]
    assert len(names[0]) == len(names[1]) == 1 and names[0] != names[1]


def test_a_corrected_line_sends_back_itself_alone(sound_file):
    before = spoken(1600, sound_file)
    line = before.segments[800]
    now = replace(
        before, segments=(*before.segments[:800], replace(line, text="New", words=()), *before.segments[801:])
    )
    drawn = changed_rows(before, now, 1600 + 1)  # a stretch without speech follows the last line
    assert (drawn["start"], drawn["n_gone"]) == (800, 1) and str(drawn["html"]).count('class="segment"') == 1
    assert changed_rows(before, before, 1601) == {"start": 1601, "n_gone": 0, "html": ""}


def test_a_page_that_shows_other_rows_gets_all_of_them(sound_file):
    before = spoken(3, sound_file)
    for n_shown in (None, 2, "3"):
        drawn = changed_rows(before, before, n_shown)
        assert drawn["n_gone"] is None and str(drawn["html"]).count('class="segment"') == 3
