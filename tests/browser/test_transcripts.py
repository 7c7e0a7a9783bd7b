"""Speech as a place to work: lines corrected in place, many files in one go."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from engines import Progress, Request, Result, Segment, TranscribeRequest, TranscribeResult
from studio.server import start
from studio.tabs.speech.view import N_WATCHED
from tests.browser.conftest import WIDE, Visit, visit
from tests.conftest import tone, write_photo, write_sound
from tests.fake_host import FakeHost

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = pytest.mark.browser


def transcribed(wide: Visit) -> None:
    wide.open_tab("speech")
    wide.page.locator("#speech-samples .sample").first.click()
    wide.result("speech", "done")


def saved(wide: Visit, form: str) -> str:
    with wide.page.expect_download() as download:
        wide.page.locator(f"#speech-result a[href*='.{form}']").click()
    return download.value.path().read_text(encoding="utf-8")


def lines(wide: Visit) -> list[str]:
    return [text.strip() for text in wide.page.locator("#speech-result .line-text").all_text_contents()]


def test_a_line_is_corrected_in_place_and_saved_as_corrected(wide):
    transcribed(wide)
    before = lines(wide)
    wide.page.locator("#speech-result [data-correct]").click()
    assert wide.serious_faults() == []
    line = wide.page.locator("#speech-result .line-text").first
    line.click()
    wide.page.keyboard.press("Control+Home")
    wide.page.keyboard.type("Well, ")
    wide.page.locator("#speech-result [data-find]").click()
    wide.page.wait_for_function("document.querySelector('#speech-result .line-text')?.dataset.was.startsWith('Well, ')")
    assert f"Well, {before[0]}" in saved(wide, "srt")
    wide.page.locator("#speech-result [data-edit=undo]").click()
    wide.page.wait_for_function(
        "document.querySelector('#speech-result .line-text')?.textContent.startsWith('Well') === false"
    )
    assert lines(wide) == before


def test_the_next_line_is_typed_into_while_the_first_one_is_being_kept(wide):
    transcribed(wide)
    wide.page.locator("#speech-result [data-correct]").click()
    held: list[Route] = []  # the first one is kept only once the next line is typed
    wide.page.route("**/studio/edit/**", lambda route: held.append(route))
    for n, words in enumerate(("One ", "Two ")):
        wide.page.locator("#speech-result .line-text").nth(n).click()
        wide.page.keyboard.press("Control+Home")
        wide.page.keyboard.type(words)
    while not held:
        wide.page.wait_for_timeout(50)
    kept: list[str] = []
    wide.page.on("requestfinished", lambda asked: kept.append(asked.url) if "/studio/edit/" in asked.url else None)
    held[0].continue_()
    wide.page.unroute("**/studio/edit/**")
    wide.page.locator("#speech-result [data-find]").click()
    while len(kept) < 2:
        wide.page.wait_for_timeout(50)
    first, second, *_ = lines(wide)
    assert first.startswith("One ") and second.startswith("Two ")
    written = saved(wide, "txt")
    assert first in written and second in written


def test_enter_cuts_a_line_and_backspace_joins_it_again(wide):
    transcribed(wide)
    before = lines(wide)
    wide.page.locator("#speech-result [data-correct]").click()
    wide.page.locator("#speech-result .line-text").first.click()
    wide.page.keyboard.press("Control+Home")
    for _ in range(len("Good ")):
        wide.page.keyboard.press("ArrowRight")
    wide.page.keyboard.press("Enter")
    wide.page.wait_for_function(f"document.querySelectorAll('#speech-result .segment').length === {len(before) + 1}")
    assert lines(wide)[:2] == ["Good", "morning."]
    wide.page.keyboard.press("Backspace")
    wide.page.wait_for_function(f"document.querySelectorAll('#speech-result .segment').length === {len(before)}")
    assert lines(wide) == before


def test_lines_are_cut_and_joined_by_buttons_too_which_the_keyboard_reaches(wide):
    page = wide.page
    transcribed(wide)
    before = lines(wide)
    page.locator("#speech-result [data-correct]").click()
    first = page.locator("#speech-result .segment").first
    first.locator(".line-text").click()
    page.keyboard.press("Control+Home")
    for _ in range(len("Good")):
        page.keyboard.press("ArrowRight")
    for _ in range(3):  # past both moves of the line's times
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText.split(/\\s+/)") == ["Split", "0:00"]
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelectorAll('#speech-result .segment').length === {len(before) + 1}")
    assert lines(wide)[:2] == ["Good", "morning."], "cut where the cursor was"
    page.get_by_role("button", name="Join to the line before").first.click()
    page.wait_for_function(f"document.querySelectorAll('#speech-result .segment').length === {len(before)}")
    assert lines(wide) == before
    page.get_by_role("button", name="Split").last.click()
    page.wait_for_function(f"document.querySelectorAll('#speech-result .segment').length === {len(before) + 1}")
    assert lines(wide)[-2:] == ["The train leaves", "at nine."], "without a cursor, in the middle between two words"
    assert wide.serious_faults() == []


def test_which_texts_are_saved_is_one_tab_stop_that_arrows_move(wide, sound_file):
    page = wide.page
    wide.open_tab("speech")
    wide.give("speech", "sound", sound_file)
    page.locator("#speech-target input").click()
    page.get_by_role("option", name="German").click()
    page.locator("#speech-run").click()
    wide.result("speech", "done")
    assert "Guten Morgen." in saved(wide, "txt") and "Good morning." in saved(wide, "txt")
    page.locator("#speech-result [data-texts=both]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#speech-result [data-texts]:checked").get_attribute("data-texts") == "translation"
    written = saved(wide, "txt")
    assert "Guten Morgen." in written and "Good morning." not in written
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('[role=radiogroup]')") is None, "one stop for all three"


def test_words_are_replaced_everywhere_and_nothing_to_find_is_said(wide):
    wide.may_complain = True  # the browser logs the refusal
    transcribed(wide)
    wide.page.locator("#speech-result [data-correct]").click()
    wide.page.locator("#speech-result [data-edit=replace]").click()
    wide.page.wait_for_selector("#speech-result .transcript-tools .problem", state="visible")
    assert "Type what to find first." in wide.page.inner_text("#speech-result .transcript-tools .problem")
    wide.page.fill("#speech-result [data-find]", "train")
    wide.page.fill("#speech-result [data-with]", "bus")
    wide.page.locator("#speech-result [data-edit=replace]").click()
    wide.page.wait_for_function("document.querySelector('#speech-result .segments')?.textContent.includes('bus')")
    assert "train" not in " ".join(lines(wide)) and "bus" in saved(wide, "txt")


def test_a_long_transcript_is_watched_by_its_newest_lines_while_its_recording_plays_on(browser, tmp_path, sound_file):
    n_lines, may_end = 90, threading.Event()

    def speak(request: Request) -> Iterator[Result]:
        lines = tuple(Segment(4.0 * n, 4.0 * n + 3, f"Line {n} ends.") for n in range(n_lines))
        for n in range(0, n_lines + 1, 15):
            progress = Progress("listening", 4.0 * n, 360.0, "s")
            yield TranscribeResult(request=request, duration_s=360.0, segments=lines[:n], progress=progress)
        while not may_end.is_set():
            yield TranscribeResult(request=request, duration_s=360.0, segments=lines, progress=progress)
        yield TranscribeResult(request=request, duration_s=360.0, segments=lines, end="finished")

    host = FakeHost(delay_s=0.15, scripts={TranscribeRequest: speak})
    with start(host, home=tmp_path / "home", devices=("cpu",)) as served:
        seen = visit(browser, served.url, WIDE)
        wide = next(seen)
        page = wide.page
        wide.open_tab("speech")
        wide.give("speech", "sound", sound_file)
        page.locator("#speech-run").click()
        page.wait_for_function("window.heard = document.querySelector('#speech-result audio.player')")
        page.wait_for_function("document.querySelector('#speech-result .newest')?.innerText.includes('Line 89 ends.')")
        assert page.locator("#speech-result .segment").count() == N_WATCHED
        assert f"{n_lines - N_WATCHED} lines before these" in page.inner_text("#speech-result .result-body")
        assert page.locator("#speech-result .segment").last.evaluate(
            "(row) => row.getBoundingClientRect().bottom <= row.closest('.segments').getBoundingClientRect().bottom + 1"
        ), "the newest line is in sight"
        may_end.set()
        wide.result("speech", "done")
        assert page.locator("#speech-result .segment").count() == n_lines
        assert page.evaluate("document.querySelector('#speech-result audio.player') === window.heard")
        assert next(seen, None) is None


def test_a_correction_draws_the_rows_that_it_changed_and_leaves_the_others(wide):
    transcribed(wide)
    wide.page.locator("#speech-result [data-correct]").click()
    wide.page.evaluate("window.first = document.querySelector('#speech-result .segment')")
    was = wide.page.locator("#speech-result .segment").last.get_attribute("data-start")
    wide.page.locator("#speech-result .segment").last.locator("[data-seconds='0.1']").click()
    wide.page.wait_for_function(
        f"[...document.querySelectorAll('#speech-result .segment')].at(-1)?.dataset.start !== '{was}'"
    )
    assert wide.page.evaluate("document.querySelector('#speech-result .segment') === window.first")
    assert wide.page.locator("#speech-result .line-text").last.get_attribute("contenteditable") == "plaintext-only"


def test_a_time_jumps_in_the_recording_and_the_line_that_is_being_said_is_lit(wide):
    transcribed(wide)
    wide.page.wait_for_function("document.querySelector('#speech-result audio')?.readyState >= 1")
    wide.page.locator("#speech-result .segment .time").last.click()
    wide.page.wait_for_function("document.querySelector('#speech-result audio')?.currentTime >= 2.9")
    wide.page.wait_for_selector("#speech-result .segment.is-now")
    assert wide.page.locator("#speech-result .segment.is-now").count() == 1


def test_a_text_needs_no_choice_of_languages(wide):
    wide.open_tab("speech")
    wide.choose("speech", "text")
    wide.page.fill("#speech-text textarea", "Der Zug ist um neun da.")
    wide.page.locator("#speech-run").click()
    assert "Good morning." in wide.result("speech", "done"), "English is what a text is put into unless it is English"


def test_many_files_have_a_row_each_and_are_taken_along_together(wide, tmp_path):
    files = [write_sound(tmp_path / f"talk {n}.wav", tone(1.0)) for n in (1, 2)]
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"nothing to hear")
    wide.open_tab("speech")
    wide.choose("speech", "files")
    wide.page.locator("#speech-files input[type=file]").first.set_input_files([files[0], broken, files[1]])
    wide.page.wait_for_function("document.querySelectorAll('#speech-files .tile').length === 3")
    wide.page.locator("#speech-run").click()
    shown = wide.result("speech", "done")
    assert "3 of 3 files" in shown and shown.count("The train leaves at nine.") == 2
    assert "broken.wav is not a sound or clip" in shown or "broken.wav is not a photo, sound or clip" in shown
    with wide.page.expect_download() as download:
        wide.page.locator("#speech-result a[href$='.zip']").click()
    with zipfile.ZipFile(download.value.path()) as packed:
        assert {"results.csv", "talk 1.wav.srt", "talk 2.wav.vtt"} <= set(packed.namelist())


def test_a_correction_of_a_transcript_stands_in_the_history(wide):
    transcribed(wide)
    wide.page.wait_for_url("**result=*")
    wide.page.locator("#speech-result [data-correct]").click()
    wide.page.locator("#speech-result .line-text").first.click()
    wide.page.keyboard.press("Control+Home")
    wide.page.keyboard.type("Again: ")
    with wide.page.expect_response("**/studio/edit/**"):
        wide.page.locator("#speech-result [data-find]").click()
    wide.open_tab("history")
    wide.page.wait_for_function("document.querySelector('#history-result .entry')?.innerText.includes('Again: Good')")
    wide.page.locator("#history-result [data-open]").first.click()
    wide.page.wait_for_function("document.querySelector('#speech-result .line-text')?.innerText.startsWith('Again: ')")


def test_a_kept_transcript_whose_recording_is_gone_says_so_and_plays_no_other(wide, scripted, sound_file):
    page = wide.page
    wide.open_tab("speech")
    wide.give("speech", "sound", sound_file)
    page.locator("#speech-run").click()
    wide.result("speech", "done")
    scripted[1].requests[-1].media.unlink()
    wide.open_tab("history")
    page.locator("#history-result [data-open]").first.click()
    page.wait_for_selector("#speech-result .gone")
    assert "The recording is gone." in page.inner_text("#speech-result")
    assert page.locator("#speech-result audio").count() == 0
    page.evaluate(
        """window.played = 0; const other = document.createElement('audio'); other.src = 'data:audio/wav;base64,';
        other.play = async () => { window.played += 1; }; document.querySelector('#speech-sound')?.append(other)"""
    )
    page.locator("#speech-result .segment .time").first.click()
    assert page.evaluate("window.played") == 0, "a time of a recording that is gone starts no other one"
    assert "Good morning." in saved(wide, "srt")


def test_a_caption_is_corrected_in_place_saved_and_kept_as_corrected(wide):
    page = wide.page
    wide.open_tab("caption")
    page.locator("#caption-samples .sample").first.click()
    wide.result("caption", "done")
    page.wait_for_url("**result=*")
    sentence = page.locator("#caption-result .sentence")
    page.locator("#caption-result [data-correct-text]").click()
    page.keyboard.press("Control+A")
    page.keyboard.type("A wolf howls.")
    page.keyboard.press("Escape")
    assert sentence.inner_text() == "A dog runs on the beach.", "Escape leaves it as it was"
    page.locator("#caption-result [data-correct-text]").click()
    page.keyboard.press("Control+A")
    page.keyboard.type("A wolf howls.")
    with page.expect_response("**/studio/edit/**"):
        page.keyboard.press("Enter")
    with page.expect_download() as download:
        page.locator("#caption-result a[href$='.txt']").click()
    assert download.value.path().read_text(encoding="utf-8").startswith("A wolf howls.\n")
    wide.reload()
    page.wait_for_function("document.querySelector('#caption-result .sentence')?.innerText === 'A wolf howls.'")


def test_the_latest_answer_about_a_clip_is_corrected_and_stays_so_when_the_next_question_is_asked(wide):
    page = wide.page
    wide.open_tab("video")
    page.locator("#video-samples .sample").first.click()
    wide.result("video", "done")
    page.locator("#video-result [data-correct-text]").click()
    page.keyboard.press("Control+A")
    page.keyboard.type("A violin.")
    with page.expect_response("**/studio/edit/**"):
        page.keyboard.press("Enter")
    page.locator("#video-question textarea").fill("What color is it?")
    page.locator("#video-run").click()
    page.wait_for_function("document.querySelectorAll('#video-result .turn')?.length === 2")
    wide.result("video", "done")
    assert page.locator("#video-result .turn .sentence").first.inner_text() == "A violin."
    assert page.locator("#video-result [data-text-of]").count() == 1, "the latest one can be corrected"


def test_rows_of_many_captions_are_corrected_and_found_by_their_words(wide, tmp_path, photo):
    page = wide.page
    files = [write_photo(tmp_path / f"photo {n}.png", photo) for n in (1, 2)]
    wide.open_tab("caption")
    wide.choose("caption", "files")
    page.locator("#caption-files input[type=file]").first.set_input_files(files)
    page.wait_for_function("document.querySelectorAll('#caption-files .tile').length === 2")
    page.locator("#caption-run").click()
    wide.result("caption", "done")
    page.locator("#caption-result [data-correct-text]").first.click()
    page.keyboard.press("Control+A")
    page.keyboard.type("A wolf howls.")
    with page.expect_response("**/studio/edit/**"):
        page.keyboard.press("Enter")
    page.locator("#caption-result [data-filter]").fill("wolf")
    assert page.locator("#caption-result .queue-row:visible").count() == 1
    with page.expect_download() as download:
        page.locator("#caption-result a[href$='.csv']").click()
    assert "photo 1.png,A wolf howls." in download.value.path().read_text(encoding="utf-8-sig")
    wide.open_tab("history")
    page.wait_for_function("document.querySelector('#history-result')?.innerText.includes('A wolf howls.')")
