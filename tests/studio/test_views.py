import html
import re
from dataclasses import replace
from pathlib import Path

import pytest

from engines import (
    AskRequest,
    AskResult,
    CaptionRequest,
    CaptionResult,
    Hit,
    IndexRequest,
    IndexResult,
    MediaError,
    Progress,
    SearchRequest,
    SearchResult,
    Segment,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
    Word,
    media,
)
from engines.media.refusals import refusal
from studio import file_tiles, views
from studio.tabs.speech.view import transcript

FOLDER = Path("/home/somebody/private")
MEDIA = FOLDER / "a <b>.mp4"
CAPTION = CaptionResult(request=CaptionRequest(media=MEDIA), text="a <i>dog</i>", seconds=1.25, host="builtin")
SPEECH = TranscribeResult(
    request=TranscribeRequest(media=MEDIA, translate_to="de"),
    language="en",
    duration_s=5.0,
    segments=(Segment(61.5, 63.0, "Hello <you>", (Word(61.5, 62.0, "Hello"), Word(62.1, 63.0, "<you>")), "Hallo"),),
)
ANSWER = AskResult(
    request=AskRequest(media=MEDIA, question="What <is> it?", hide=frozenset({"picture"})),
    text="a dog",
    confidence=0.8,
    moments_s=(75.0,),
    modalities=(("picture", 0.2), ("sound", 0.7)),
    end="finished",
)
HITS = SearchResult(
    request=SearchRequest(query="dog", collection=FOLDER / "c.sqlite"),
    hits=(
        Hit(MEDIA, "clip", score=0.4, fit=0.9, start_s=20.0, end_s=30.0),
        Hit(FOLDER / "notes.txt", "text", score=0.3, fit=0.6, text="dogs <bark>"),
    ),
    end="finished",
)
INDEX = IndexResult(
    request=IndexRequest(folder=FOLDER, collection=FOLDER / "c.sqlite"),
    n_added=2,
    n_rows=3,
    failures=(("b <c>.jpg", refusal("damaged", Path("b <c>.jpg")).message),),
    end="finished",
)


@pytest.mark.parametrize(("seconds", "shown"), [(0.0, "0:00"), (7.9, "0:07"), (723.0, "12:03"), (3723.0, "1:02:03")])
def test_times_read_like_those_of_a_player(seconds, shown):
    assert views.clock(seconds) == shown


def test_no_view_tells_a_path_or_lets_markup_through(downloads, info):
    done = replace(CAPTION, end="finished")
    shown = [
        views.caption(done, downloads, info),
        transcript(replace(SPEECH, end="finished"), downloads, info),
        views.chat({"id": ANSWER}, downloads, info),
        views.hits(HITS, downloads, info),
        views.index(INDEX, downloads, info),
        views.problem(MediaError("test", "b <c>.jpg is damaged.")),
    ]
    for page in shown:
        assert "somebody" not in page
        for raw in ("<i>dog", "<you>", "<is>", "<bark>", "a <b>", "<c>"):
            assert raw not in page


def test_why_a_file_failed_while_indexing_is_said_in_both_languages(downloads, info):
    page = views.index(INDEX, downloads, info)
    reason = refusal("damaged", Path("b <c>.jpg"))
    assert reason.en != reason.zh and html.escape(reason.en) in page and html.escape(reason.zh) in page


def test_a_caption_grows_then_offers_to_be_taken_along(downloads, info):
    growing = views.caption(CAPTION, downloads, info)
    assert 'aria-busy="true"' in growing
    assert "data-send" not in growing
    done = views.caption(replace(CAPTION, end="finished"), downloads, info)
    assert "1.2 s · CPU · builtin" in done
    assert ".txt" in done
    assert 'data-send="video"' in done


def test_an_answer_from_a_server_says_so_in_both_languages(downloads, info):
    shown = views.caption(replace(CAPTION, end="finished", host="omni"), downloads, replace(info, device="remote"))
    assert "server" in shown and "服务器" in shown and "remote" not in shown and "omni" in shown


def test_a_stopped_caption_keeps_its_words_and_says_so(downloads, info):
    shown = views.caption(replace(CAPTION, end="cancelled"), downloads, info)
    assert "dog" in shown
    assert "stopped" in shown
    assert "Stopped before there was a result" in views.caption(
        replace(CAPTION, text="", end="cancelled"), downloads, info
    )


def test_a_text_that_breaks_off_says_so_and_is_no_stop(downloads, info):
    request = TranslateRequest(text="dog", source="en", target="de")
    for shown in (
        views.caption(replace(CAPTION, end="cut"), downloads, info),
        views.chat({"": replace(ANSWER, end="cut")}, downloads, info),
        views.translation(TranslateResult(request=request, text="Hund", end="cut"), downloads, info),
    ):
        assert "cut off here" in shown and "在此中断" in shown
        assert "is-done" in shown and "stopped</span>" not in shown


def test_an_answer_of_nothing_was_not_stopped(downloads, info):
    request = TranslateRequest(text="dog", source="en", target="de")
    for shown in (
        views.chat({"": replace(ANSWER, text="")}, downloads, info),
        views.translation(TranslateResult(request=request, end="finished"), downloads, info),
    ):
        assert "The model found nothing to say." in shown and "Stopped" not in shown


def test_progress_says_what_is_done_and_how_far(downloads, info):
    listening = replace(SPEECH, segments=(), progress=Progress("listening", 40.0, 130.0, "s"))
    shown = transcript(listening, downloads, info)
    assert "listening" in shown
    assert "0:40 of 2:10" in shown
    assert "12 of 300" in views.stage(Progress("reading", 12, 300, "files"))
    assert "145 MB of 290 MB" in views.stage(Progress("fetching", 145e6, 290e6, "bytes"))


def test_a_stage_without_words_of_ours_is_shown_as_the_host_says_it():
    assert "&lt;dreaming&gt;" in views.stage(Progress("<dreaming>"))


def test_an_answer_shows_the_modalities_by_name_shape_and_share(downloads, info):
    shown = views.chat({"id": ANSWER}, downloads, info)
    assert "mark-picture" in shown and "mark-sound" in shown
    assert "partly" in shown and "much" in shown, "in words, for the only percentage is how sure it is"
    assert "without picture" in shown
    assert 'data-seek="75.00"' in shown
    assert "80% sure" in shown


def test_an_answer_about_a_clip_shows_its_frames_its_sound_and_lights_the_moment(downloads, info, clip_file):
    length_s = media.probe(clip_file).duration_s
    request = AskRequest(media=clip_file, question="What?")
    shown = views.chat({"": replace(ANSWER, request=request, moments_s=(0.6 * length_s,))}, downloads, info)
    assert shown.count('class="strip-frame') == views.N_STRIP and shown.count("is-lit") == 1
    frames = shown.split('class="strip-frame')[1:]
    assert "is-lit" in frames[int(0.6 * views.N_STRIP)] and f'data-seek="{0.5 * length_s:.2f}"' in frames[4]
    assert 'style="left:60.0%"' in shown and f"?duration={length_s:.2f}" in shown
    twice = views.chat({name: replace(ANSWER, request=request) for name in "ab"}, downloads, info)
    assert twice.count('class="strip"') == 1, "only the latest answer has one"
    assert 'data-text-of="b"' in twice and 'data-text-of="a"' not in twice and twice.count("data-correct-text") == 1


def test_a_photo_and_a_clip_that_is_gone_have_no_strip_and_a_sound_has_its_wave(
    downloads, info, photo_file, sound_file
):
    for path, n in ((photo_file, 0), (MEDIA, 0), (sound_file, 1)):
        shown = views.chat({"": replace(ANSWER, request=AskRequest(media=path, question="What?"))}, downloads, info)
        assert shown.count("strip-wave") == n and "strip-frame" not in shown


def test_a_clip_with_nothing_to_hear_says_so_in_place_of_the_share_of_sound(downloads, info):
    shown = views.chat({"": replace(ANSWER, modalities=(("picture", 0.2),), silent=True)}, downloads, info)
    assert "Nothing to hear: this clip has no sound" in shown and "听不到声音" in shown
    assert "20%" in shown and "meter-sound" not in shown and "a dog" in shown
    assert "Nothing to hear" not in views.chat({"id": ANSWER}, downloads, info)


@pytest.mark.parametrize(
    ("shares", "en", "zh"),
    [
        ((("picture", 0.0), ("sound", 0.04)), "Leaving out the picture or the sound alone", "单独隐藏画面或声音"),
        ((("picture", 0.0),), "Leaving out the picture makes this answer hardly less likely", "隐藏画面几乎不会"),
        ((("sound", 0.01),), "Leaving out the sound makes this answer hardly less likely", "隐藏声音几乎不会"),
    ],
)
def test_an_answer_that_rests_on_no_modality_alone_says_so_in_words(shares, en, zh, downloads, info):
    shown = views.chat({"": replace(ANSWER, modalities=shares)}, downloads, info)
    assert en in shown and zh in shown and "80% sure" in shown
    assert "meter" not in shown and "The answer rests on" not in shown


def test_one_modality_that_counts_brings_the_bars_of_both(downloads, info):
    shown = views.chat({"": replace(ANSWER, modalities=(("picture", 0.0), ("sound", 0.05)))}, downloads, info)
    assert "meter-picture" in shown and "meter-sound" in shown and "5%" in shown


def test_a_silent_sound_is_called_silent_where_it_is_described_and_asked_about(downloads, info):
    described = views.caption(replace(CAPTION, text="", end="empty"), downloads, info)
    asked = views.chat({"": AskResult(request=ANSWER.request, silent=True, end="empty")}, downloads, info)
    for shown in (described, asked):
        assert "this sound, or at least its first minute, is silent" in shown and "是静音" in shown
        assert "Stopped" not in shown and "No sentence" not in shown
    assert "The model found nothing to say." in views.caption(
        replace(CAPTION, text="", end="finished"), downloads, info
    )


def test_hits_show_kind_span_and_fit(downloads, info):
    shown = views.hits(HITS, downloads, info)
    assert "0:20–0:30" in shown
    assert "90%" in shown
    assert "mark-all" in shown and "mark-text" in shown
    assert "Nothing fits well" not in shown
    assert 'data-end="30.00"' in shown


def test_a_hit_says_why_it_is_one_and_quotes_the_words_looked_for(downloads, info):
    sign = replace(HITS.hits[0], text="Welcome. " * 40 + "Platform 12", why=("written", "seen"))
    request = SearchRequest(query="platform 12", collection=Path("c"))
    shown = views.hits(replace(HITS, request=request, hits=(sign,)), downloads, info)
    assert "written" in shown and "写有" in shown and "seen" in shown and "Platform 12" in shown
    assert shown.count("Welcome") < 40


def test_what_does_not_fit_is_folded_away_behind_its_number(downloads, info):
    weak = tuple(replace(HITS.hits[1], path=FOLDER / f"{n}.txt", fit=0.3) for n in range(11))
    best, folded = views.hits(replace(HITS, hits=(HITS.hits[0], *weak)), downloads, info).split("<details")
    assert "a &lt;b&gt;.mp4" in best and "has-best" in best and "is-weak" not in best
    assert "11 that do not fit" in folded and folded.count("is-weak") == 11
    one = views.hits(replace(HITS, hits=(HITS.hits[0], weak[0])), downloads, info)
    assert "1 that does not fit" in one


def test_of_hits_that_all_do_not_fit_the_closest_are_shown(downloads, info):
    weak = tuple(replace(HITS.hits[1], path=FOLDER / f"{n}.txt", fit=0.3) for n in range(5))
    shown, folded = views.hits(replace(HITS, hits=weak), downloads, info).split("<details")
    assert "Nothing fits well" in shown and shown.count("is-weak") == 3 and "has-best" not in shown
    assert "2 that do not fit" in folded


def test_no_hit_is_said(downloads, info):
    assert "There is nothing of the chosen kinds" in views.hits(replace(HITS, hits=(), end="empty"), downloads, info)


def test_an_index_says_what_it_holds_and_what_failed(downloads, info):
    shown = views.index(INDEX, downloads, info)
    assert "3 entries are ready: 2 files added" in shown
    assert "b &lt;c&gt;.jpg is damaged or cut short" in shown


def test_a_model_that_forgets_earlier_questions_says_so_once_there_are_some(downloads, info):
    forgets = replace(info, source="builtin")
    assert "answers each question by itself" in views.chat({"a": ANSWER, "b": ANSWER}, downloads, forgets)
    assert "answers each question by itself" not in views.chat({"id": ANSWER}, downloads, forgets)
    assert "answers each question by itself" not in views.chat(
        {"a": ANSWER, "b": ANSWER}, downloads, replace(info, source="x")
    )


def test_own_files_are_counted_and_each_can_be_taken_out(downloads):
    shown = file_tiles.own_files([Path(f"/home/me/<{n}>.jpg") for n in range(62)], downloads, 3)
    assert "62 files." in shown and "1 to 60 are shown" in shown and "3 files were not taken" in shown
    assert shown.count("data-out") == file_tiles.N_TILES and "&lt;0&gt;.jpg" in shown and "/home/me" not in shown
    assert "webkitdirectory" in file_tiles.own_files([], downloads) and "data-out" not in file_tiles.own_files(
        [], downloads
    )


@pytest.mark.parametrize(("first", "from_to", "pages"), [(0, (0, 60), ["60"]), (60, (60, 120), ["0", "120"]),
                                                         (120, (120, 130), ["60"]), (999, (120, 130), ["60"]),
                                                         (-5, (0, 60), ["60"])])  # fmt: skip
def test_many_own_files_are_paged_through(downloads, first, from_to, pages):
    files = [Path(f"/home/me/{n}.jpg") for n in range(130)]
    shown = file_tiles.own_files(files, downloads, first=first)
    assert re.findall(r'title="(\d+)\.jpg"', shown) == [str(n) for n in range(*from_to)]
    assert re.findall(r'data-page="(\d+)"', shown) == pages
    assert f'data-first="{from_to[0]}"' in shown


def test_all_own_files_are_removed_after_a_question(downloads):
    shown = file_tiles.own_files([Path("/home/me/dog.jpg")], downloads)
    assert shown.index("Remove all") < shown.index("data-clear") < shown.index("Remove them")
    assert "data-page" not in shown and "Remove all" not in file_tiles.own_files([], downloads)


def test_files_kept_though_their_folder_is_empty_are_told(downloads, info):
    shown = views.index(replace(INDEX, n_missing=7), downloads, info)
    assert "7 files in folders that are empty now or cannot be read: kept" in shown
    assert "kept" not in views.index(INDEX, downloads, info)
