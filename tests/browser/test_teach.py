"""Teach it in a browser: a person's labels from real files, by a model that really looks at them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines import Cancel, Host
from engines.errors import Cancelled
from engines.lab import fewshot as teach
from studio.i18n import text
from tests.browser.conftest import Visit
from tests.conftest import SAMPLES, write_photo, write_sound

pytestmark = pytest.mark.browser
CATS, DOGS = ["cat.jpg", "kingfisher.webp"], ["dog.jpg"]


def open_teach(seen: Visit) -> None:
    """Turn to the lab, and there to the page."""
    seen.open_tab("lab")
    seen.page.locator("#lab-which").get_by_text(text("ui.lab.name.teach", "zh" if seen.is_phone else "en")).click()
    seen.page.wait_for_selector("#teach-run", state="visible")


def give(seen: Visit, n: int, label: str, files: list[Path]) -> None:
    """Write a label and choose its files."""
    before = seen.page.locator(f"#teach-tiles-{n} .tile").count()
    seen.page.fill(f"#teach-label-{n} textarea", label)
    seen.page.locator(f"#teach-tiles-{n} input[type=file]").set_input_files(files)
    count_is(seen, f"#teach-tiles-{n} .tile", before + len(files))


def count_is(seen: Visit, selector: str, n: int) -> None:
    """Wait until that many are there."""
    seen.page.wait_for_function("([which, n]) => document.querySelectorAll(which).length === n", arg=[selector, n])


def name_it(seen: Visit, name: str) -> None:
    seen.page.locator("#teach-name :is(input, textarea)").fill(name)


def samples(names: list[str]) -> list[Path]:
    return [SAMPLES / name for name in names]


@pytest.fixture
def teaching(reading) -> Iterator[Visit]:
    """The page of a desktop; no set is left behind."""
    open_teach(reading)
    yield reading
    for _ in range(reading.page.locator("#teach-sets .set").count()):
        delete_first(reading)


def delete_first(seen: Visit) -> None:
    n_sets = seen.page.locator("#teach-sets .set").count()
    seen.page.locator("#teach-sets .set [data-turn=delete]").first.click()
    seen.page.locator("#teach-sets .when-delete [data-do=delete]").first.click()
    count_is(seen, "#teach-sets .set", n_sets - 1)


def test_two_labels_are_taught_a_third_photo_named_and_the_set_renamed_and_deleted(teaching):
    page = teaching.page
    name_it(teaching, "Pets")
    give(teaching, 1, "cat", samples(CATS))
    give(teaching, 2, "dog", samples(DOGS))
    page.wait_for_function("[...document.querySelectorAll('#teach .tile img')].every((one) => one.naturalWidth > 0)")
    assert not page.locator("#teach-asking").is_visible()
    page.click("#teach-run")
    said = teaching.result("teach", "done")
    assert "“Pets” tells apart:" in said and "recognise Pets photo.jpg" in said
    page.locator("#teach-drop input[type=file]").set_input_files(samples(["cow.jpg", "cat.jpg", "rain.opus"]))
    count_is(teaching, "#teach-result .is-done .named", 3)
    count_is(teaching, "#teach-result .named:first-of-type .probabilities .share", 3)  # two labels, and none of these
    count_is(teaching, "#teach-result .named .near .tile", 9)
    second = page.locator("#teach-result .named").nth(1)
    assert "cat.jpg" in second.inner_text()
    assert second.locator(".near .tile").first.get_attribute("title") == "cat.jpg"  # itself is the likest
    page.wait_for_function("[...document.querySelectorAll('#teach-result img')].every((one) => one.naturalWidth > 0)")

    page.click("#teach-sets [data-turn=rename]")
    page.fill("#teach-sets .when-rename input", "My <b>pets</b>")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#teach-sets .set b')?.innerText === 'My <b>pets</b>'")
    assert page.locator("#teach-name :is(input, textarea)").input_value() == "My <b>pets</b>"
    page.click("#teach-sets [data-turn=delete]")
    page.click("#teach-sets .when-delete [data-turn]")
    assert page.locator("#teach-sets .set").count() == 1
    delete_first(teaching)
    page.wait_for_selector("#teach-asking", state="hidden")
    assert page.locator("#teach-tiles-1 .tile").count() == 2


def test_a_set_is_there_after_the_page_was_loaded_anew_and_names_sounds(teaching, tmp_path):
    page = teaching.page
    name_it(teaching, "Noises")
    give(teaching, 1, "rain", samples(["rain.opus"]))
    give(teaching, 2, "applause", samples(["applause.flac"]))
    page.locator("#teach-tiles-1 [data-play]").click()
    page.wait_for_selector("#teach-tiles-1 [data-playing]")
    page.click("#teach-run")
    teaching.result("teach", "done")
    teaching.reload()
    open_teach(teaching)
    page.click("#teach-sets [data-do=open]")
    assert "“Noises” tells apart:" in teaching.result("teach", "done")
    count_is(teaching, "#teach .label-row .tile", 2)
    sound = write_sound(tmp_path / "hiss.wav", np.random.default_rng(0).normal(0, 0.1, 32_000).astype(np.float32))
    page.locator("#teach-drop input[type=file]").set_input_files(sound)
    count_is(teaching, "#teach-result .is-done .named audio[src]", 3)  # its own, and those of the two examples


def test_what_is_dropped_on_a_row_is_taken_and_can_be_removed(teaching, tmp_path, photo):
    page = teaching.page
    path = write_photo(tmp_path / "dropped.png", photo)
    transfer = page.evaluate_handle(
        """([bytes, name]) => { const all = new DataTransfer();
        all.items.add(new File([new Uint8Array(bytes)], name, { type: 'image/png' })); return all }""",
        [list(path.read_bytes()), path.name],
    )
    page.locator("#teach-tiles-2 .place").dispatch_event("drop", {"dataTransfer": transfer})
    count_is(teaching, "#teach-tiles-2 .tile[title='dropped.png']", 1)
    page.click("#teach-tiles-2 [data-out]")
    count_is(teaching, "#teach-tiles-2 .tile", 0)


def test_bad_input_is_one_sentence_each_and_what_was_dropped_stays(teaching, tmp_path):
    page = teaching.page

    def refused(sentence: str) -> None:
        page.click("#teach-run")
        page.wait_for_selector(f'#teach-result .is-error :text("{sentence}")')

    (tmp_path / "notes.txt").write_text("neither seen nor heard")
    refused("Give the label set a name.")
    name_it(teaching, "Pets")
    give(teaching, 1, "cat", [*samples(CATS), tmp_path / "notes.txt"])
    assert "unreadable" in page.inner_text("#teach-tiles-1 .tile[title='notes.txt']")
    refused("One label cannot be told apart")
    give(teaching, 2, "", samples(DOGS))
    refused("Give label 2 a name.")
    page.fill("#teach-label-2 textarea", "\n".join(f"label {n}" for n in range(499)))
    refused("There are 500 labels; at most 10")
    page.fill("#teach-label-2 textarea", "dog")
    page.click("#teach-run")
    said = teaching.result("teach", "done")
    assert "notes.txt" in said and str(tmp_path) not in said
    assert page.locator("#teach .label-row .tile").count() == 4
    assert page.locator(".toast-body").count() == 0


def test_pasted_lines_become_rows_and_a_row_goes_with_its_label(teaching):
    page = teaching.page
    page.fill("#teach-label-1 textarea", "cat\ndog\nbird")
    page.locator("#teach-name :is(input, textarea)").focus()
    page.wait_for_selector("#teach-row-3", state="visible")
    page.click("#teach-tiles-1 [data-away]")
    page.wait_for_selector("#teach-row-3", state="hidden")
    assert [page.input_value(f"#teach-label-{n} textarea") for n in (1, 2)] == ["dog", "bird"]


def test_a_stop_in_the_middle_says_so_and_keeps_the_rows(teaching, monkeypatch):
    def never_done(host: Host, path: Path, cancel: Cancel) -> None:
        while not cancel.is_set:
            time.sleep(0.01)
        raise Cancelled

    monkeypatch.setattr(teach, "embed", never_done)  # however fast the machine is, the stop comes in the middle
    page = teaching.page
    name_it(teaching, "Pets")
    give(teaching, 1, "cat", samples(CATS))
    clips = ["dog.mp4", "music.mp3"]
    give(teaching, 2, "other", samples(clips))
    page.click("#teach-run")
    page.wait_for_selector("#teach-stop", state="visible")
    page.keyboard.press("Escape")
    assert "everything you dropped is still there" in teaching.result("teach", "stopped")
    page.wait_for_selector("#teach-stop", state="hidden")
    assert page.locator("#teach .label-row .tile").count() == len(CATS) + len(clips)
    assert page.locator("#teach-sets .set").count() == 0


def test_the_page_fits_a_phone_in_chinese_in_the_dark(pocket):
    page = pocket.page
    open_teach(pocket)
    page.locator("#teach-example").click()
    count_is(pocket, "#teach .label-row .tile", 3)
    page.click("#teach-run")
    assert "能分辨" in pocket.result("teach", "done")
    page.locator("#teach-samples .sample").first.click()
    count_is(pocket, "#teach-result .is-done .named", 1)
    assert "都不是" in page.inner_text("#teach-result")
    assert pocket.width() <= 390
    assert "__i18n__" not in page.inner_text("body") and "ui.teach" not in page.inner_text("body")
    delete_first(pocket)


def test_several_photos_are_taken_at_one_press_and_a_camera_that_is_not_allowed_is_said(teaching):
    page = teaching.page
    page.locator("#teach-record > button").click()
    page.context.grant_permissions(["microphone", "camera"])
    page.locator("[data-burst]").click()
    count_is(teaching, "#teach-tiles-1 .tile", 8)
    page.wait_for_selector("[data-burst]:enabled")
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => Promise.reject(new Error('not allowed')) }")
    page.locator("[data-burst]").click()
    assert "The camera cannot be used" in page.locator("#teach-burst [data-problem]").inner_text()
