"""A person's files through the host that really reads them (its model is tiny and has learnt nothing)."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.browser.conftest import Visit, arrive, is_upload
from tests.conftest import write_photo
from tests.engines.media.makers import several_tracks, sine
from tests.studio.conftest import write_clip

pytestmark = pytest.mark.browser


@pytest.fixture
def clip_file(tmp_path, photo) -> Path:
    return write_clip(tmp_path / "red.mp4", [np.repeat(np.repeat(photo.pixels, 2, 0), 2, 1)] * 8, np.zeros(16_000))


def test_a_clip_on_the_photo_input_turns_to_clip(reading, clip_file):
    reading.open_tab("caption")
    reading.page.locator("#caption-photo input[type=file]").first.set_input_files(clip_file)
    reading.page.wait_for_selector("#caption-clip video", state="visible")
    assert reading.page.locator("#caption-kind input[value=clip]").is_checked()
    reading.page.locator("#caption-run").click()
    assert "CPU · tiny" in reading.result("caption", "done")


def drop(visit: Visit, tab: str, kind: str, path: Path, type_: str) -> None:
    """Let a file fall into an input, with the type that the browser guesses for it."""
    transfer = visit.page.evaluate_handle(
        """([bytes, name, type]) => { const all = new DataTransfer();
        all.items.add(new File([new Uint8Array(bytes)], name, { type })); return all }""",
        [list(path.read_bytes()), path.name, type_],
    )
    place = visit.page.locator(f"#{tab}-{kind}").locator("button.center, .upload-container button").first
    place.dispatch_event("drop", {"dataTransfer": transfer})
    visit.page.wait_for_selector(f"#{tab}-{kind} .icon-button-wrapper button", state="attached")


@pytest.mark.parametrize("tab", ["speech", "caption", "video"])
def test_the_sound_track_is_offered_where_a_file_has_several(reading, tmp_path, tab):
    page, tone = reading.page, sine(1.0)
    film = several_tracks(tmp_path / "film.mka", {"ger": tone, "eng": tone})
    one = several_tracks(tmp_path / "one.mka", {"ger": tone})
    reading.open_tab(tab)
    reading.choose(tab, "sound")
    assert page.locator(f"#{tab}-track").count() == 0
    reading.upload(f"#{tab}-sound", film)
    page.locator(f"#{tab}-track input").click()
    page.get_by_role("option", name="2 eng").click()
    if tab == "video":
        page.fill("#video-question textarea", "What can be heard?")
    page.locator(f"#{tab}-run").click()
    assert "Sound track 2 of 2" in reading.result(tab, "done")
    page.locator(f"#{tab}-sound").get_by_label("Clear").click()
    page.wait_for_selector(f"#{tab}-track", state="detached")
    reading.upload(f"#{tab}-sound", one)
    assert page.locator(f"#{tab}-track").count() == 0


def test_a_dropped_file_is_taken_like_a_chosen_one(reading, tmp_path, photo):
    reading.open_tab("caption")
    drop(reading, "caption", "photo", write_photo(tmp_path / "照片.png", photo), "image/png")
    reading.page.wait_for_selector("#caption-photo img")
    reading.page.locator("#caption-run").click()
    reading.result("caption", "done")


@pytest.mark.parametrize("how", ["chosen", "dropped"])
def test_a_webm_of_sound_alone_is_taken_as_a_sound(reading, tmp_path, how):
    recording = tmp_path / "recording.webm"
    with av.open(str(recording), "w") as container:
        track = container.add_stream("libopus", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 48_000), np.float32), "flt", "mono")
        frame.rate = 48_000
        container.mux(track.encode(frame))
        container.mux(track.encode(None))
    reading.open_tab("speech")
    if how == "chosen":
        reading.give("speech", "sound", recording)
    else:
        reading.choose("speech", "sound")
        drop(reading, "speech", "sound", recording, "video/webm")
    reading.page.locator("#speech-run").click()
    assert "There is no speech in this; it is silent." in reading.result("speech", "done")


@pytest.mark.parametrize("how", ["chosen", "dropped"])
def test_a_suffix_in_capitals_is_taken(reading, tmp_path, clip_file, how):
    clip = clip_file.rename(tmp_path / "IMG_0001.MOV")
    reading.open_tab("caption")
    reading.choose("caption", "clip")
    if how == "chosen":
        reading.give("caption", "clip", clip)
    else:
        drop(reading, "caption", "clip", clip, "")
    reading.page.locator("#caption-run").click()
    assert "CPU · tiny" in reading.result("caption", "done")


@pytest.mark.parametrize(("tab", "kind"), [("speech", "sound"), ("speech", "clip"), ("caption", "photo")])
def test_what_is_no_medium_is_refused_by_the_studio_alone(reading, tmp_path, tab, kind):
    (tmp_path / "notes.txt").write_text("neither seen nor heard")
    reading.may_complain = True  # the browser itself, that it cannot show such a file
    reading.open_tab(tab)
    reading.give(tab, kind, tmp_path / "notes.txt")
    reading.page.locator(f"#{tab}-run").click()
    assert "notes.txt" in reading.result(tab, "error")
    (said,) = reading.page.locator(".toast-body").all_inner_texts()
    assert "notes.txt is not a photo, sound or clip" in said


def test_the_microphone_records_and_is_heard(reading):
    page = reading.page
    reading.open_tab("speech")
    page.locator("#speech-sound button[aria-label=Record]").click()
    page.locator("#speech-sound button.record-button").click()
    page.wait_for_timeout(1200)  # a second is recorded
    with page.expect_response(is_upload):  # the player shows before the recording has reached the server
        page.locator("#speech-sound button.stop-button:visible").first.click()
    page.wait_for_selector("#speech-sound [aria-label=Clear]")
    reading.take_in()
    page.locator("#speech-run").click()
    assert "CPU · tiny" in reading.result("speech", "done")


DAMAGED = (
    ("caption", "photo", "broken.jpg", b"\xff\xd8\xff no photo"),
    ("caption", "clip", "nothing.mp4", b""),
    ("speech", "sound", "broken.mp3", b"ID3 no sound in here" * 20),
    ("speech", "sound", "nothing.wav", b""),
    ("video", "clip", "broken.mp4", b"\x00\x00\x00\x18ftypmp42 no clip" * 20),
)


def test_each_damaged_or_empty_file_is_one_sentence_and_the_page_goes_on(reading, tmp_path):
    reading.may_complain = True
    for tab, kind, name, content in DAMAGED:
        (tmp_path / name).write_bytes(content)
        reading.open_tab(tab)
        reading.choose(tab, kind)
        if tab == "video":
            reading.page.fill("#video-question textarea", "What is it?")
        clear = reading.page.locator(f"#{tab}-{kind} [aria-label=Clear]")
        if clear.count():
            clear.first.click()
        reading.upload(f"#{tab}-{kind}", tmp_path / name)
        reading.page.locator(f"#{tab}-run").click()
        reading.page.wait_for_selector(f"#{tab}-result .is-error :text('{name}')")
        said = reading.result(tab, "error")
        assert "/tmp" not in said and "Traceback" not in said and "not your fault" not in said


def test_files_of_ones_own_are_searched(reading, tmp_path, photo, clip_file):
    page = reading.page
    page.locator("#search-place input[value=uploads]").check(force=True)
    page.wait_for_selector("#search-files", state="visible")
    files = [write_photo(tmp_path / "red.png", photo), clip_file]
    page.locator("#search-files input[type=file]").first.set_input_files(files)
    page.wait_for_function("document.querySelector('#search-files')?.innerText.includes('red')")
    page.fill("#search-text textarea", "something red")
    page.locator("#search-run").click()
    said = reading.result("search", "done")
    assert "red.png" in said and "red.mp4" in said
    page.wait_for_function("document.querySelector('#search-result .card img')?.naturalWidth > 0")
    assert str(tmp_path) not in page.inner_html("#search-result")


def test_own_files_stand_as_tiles_a_folder_is_chosen_and_one_is_taken_out(reading, tmp_path, photo):
    page, folder = reading.page, tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for name in ("one.png", "deep/two.png", ".hidden.png"):
        write_photo(folder / name, photo)
    page.locator("#search-place input[value=uploads]").check(force=True)
    page.wait_for_selector("#search-files", state="visible")
    page.locator("#search-files input[webkitdirectory]").set_input_files(folder)
    page.wait_for_function("document.querySelectorAll('#search-files .tile').length === 2")
    assert "2 files." in page.inner_text("#search-files")
    page.wait_for_function("document.querySelector('#search-files .tile img')?.naturalWidth > 0")
    page.get_by_role("button", name="Remove one.png").click()
    page.wait_for_function("document.querySelectorAll('#search-files .tile').length === 1")
    page.fill("#search-text textarea", "something red")
    page.locator("#search-run").click()
    said = reading.result("search", "done")
    assert "two.png" in said and "one.png" not in said


def test_own_files_are_there_after_a_reload_and_in_no_other_tab(reading, tiny, tmp_path, photo):
    page = reading.page
    page.locator("#search-place input[value=uploads]").check(force=True)
    page.wait_for_selector("#search-files", state="visible")
    page.locator("#search-files input[type=file]").first.set_input_files(write_photo(tmp_path / "red.png", photo))
    page.wait_for_function("document.querySelectorAll('#search-files .tile').length === 1")
    reading.reload()
    page.wait_for_selector("#search-files .tile[title='red.png']", state="visible")
    assert page.locator("#search-place input[value=uploads]").is_checked()
    page.fill("#search-text textarea", "something red")
    page.locator("#search-run").click()
    assert "red.png" in reading.result("search", "done")
    other = page.context.new_page()
    arrive(other, tiny.url)
    other.locator("#search-place input[value=uploads]").check(force=True)
    other.wait_for_selector("#search-files", state="visible")
    assert other.locator("#search-files .tile").count() == 0


def test_a_folder_of_this_computer_is_found_by_walking_with_keys_alone(reading, tmp_path, photo):
    page = reading.page
    for n in range(3):
        (tmp_path / f"walk {n}" / "inner").mkdir(parents=True)
    write_photo(tmp_path / "walk 1" / "inner" / "red.png", photo)
    page.locator("#search-place input[value=folder]").check(force=True)
    page.wait_for_selector("#search-folders .folder-list")
    page.locator("#search-folder input").fill(str(tmp_path))
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-folders button:text-is('walk 1')")
    page.locator("#search-folders li button[tabindex='0']").focus()  # "Up": the one Tab stop of the list
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#search-folders button:text-is('inner')")
    page.wait_for_function("document.activeElement.matches('.folder-at')")
    assert "walk 1" in page.evaluate("document.activeElement.innerText")
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#search-folders .folder-at:has-text('0 folders, 1 file to search')")
    assert page.input_value("#search-folder input") == str(tmp_path / "walk 1" / "inner")
    page.fill("#search-text textarea", "something red")
    page.locator("#search-run").click()
    assert "red.png" in reading.result("search", "done")
    page.locator("#search-folder input").fill("/no/such/folder")
    page.keyboard.press("Enter")
    assert "no such folder" in page.inner_text("#search-folders .problem")


def test_a_watched_folder_is_indexed_by_itself_until_the_switch_is_turned_off(reading, tmp_path, photo):
    page = reading.page
    write_photo(tmp_path / "first.png", photo)
    page.locator("#search-place input[value=folder]").check(force=True)
    page.wait_for_selector("#search-folders .folder-list")
    page.locator("#search-watch input").click()  # it goes back by itself, maybe before `check` would have looked
    page.wait_for_selector("#search-watched .problem:has-text('Choose the folder to search in first.')")
    page.wait_for_selector("#search-watch input:not(:checked)", state="attached")
    page.locator("#search-folder input").fill(str(tmp_path))
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-folders .folder-at:has-text('1 file to search')")
    page.locator("#search-watch input").check()
    assert "1 entry is ready" in reading.result("search", "done")  # what lies there is indexed at once
    write_photo(tmp_path / "second.png", photo)
    page.wait_for_selector("#search-watched [role=status] :text('2 entries now')")
    page.fill("#search-text textarea", "something red")
    page.locator("#search-run").click()
    page.wait_for_selector("#search-result .result-card:has-text('second.png')")
    page.locator("#search-watch input").uncheck()
    page.wait_for_function("document.querySelector('#search-watched')?.innerText.trim() === ''")


def test_many_own_files_are_paged_through_and_all_are_removed_after_a_question(reading, tmp_path, photo):
    page, folder = reading.page, tmp_path / "many"
    folder.mkdir()
    first = write_photo(folder / "000.png", photo)
    for n in range(1, 62):
        (folder / f"{n:03}.png").write_bytes(first.read_bytes())
    page.locator("#search-place input[value=uploads]").check(force=True)
    page.wait_for_selector("#search-files", state="visible")
    page.locator("#search-files input[webkitdirectory]").set_input_files(folder)
    page.wait_for_function("document.querySelectorAll('#search-files .tile').length === 60")
    page.get_by_role("button", name="Next files").click()
    page.wait_for_function("document.querySelectorAll('#search-files .tile').length === 2")
    assert "61 to 62 are shown" in page.inner_text("#search-files")
    page.get_by_role("button", name="Remove 060.png").click()
    page.wait_for_function("document.querySelectorAll('#search-files .tile').length === 1")
    page.get_by_text("Remove all", exact=True).click()
    page.get_by_role("button", name="Remove them").click()
    page.wait_for_function("document.querySelectorAll('#search-files .tile').length === 0")
    page.fill("#search-text textarea", "something red")
    page.locator("#search-run").click()
    assert "Drop the files to search in first" in reading.result("search", "error")
