"""Many files at once, dropped wherever a person lets them fall: none is left out without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Visit
from tests.conftest import tone, write_photo, write_sound

pytestmark = pytest.mark.browser


def fall(visit: Visit, place: str, paths: list[Path]) -> None:
    """Let files fall on a place."""
    transfer = visit.page.evaluate_handle(
        """(files) => { const all = new DataTransfer();
        for (const [name, bytes] of files) all.items.add(new File([new Uint8Array(bytes)], name)); return all }""",
        [[path.name, list(path.read_bytes())] for path in paths],
    )
    visit.page.locator(place).first.dispatch_event("drop", {"dataTransfer": transfer})


def tiles(visit: Visit, tab: str, n: int) -> str:
    """The words of the input that takes many, once it holds `n` files."""
    visit.page.wait_for_function(f"document.querySelectorAll('#{tab}-files .tile').length === {n}")
    return visit.page.inner_text(f"#{tab}-files")


@pytest.fixture
def sounds(tmp_path) -> list[Path]:
    return [write_sound(tmp_path / f"talk {n}.wav", tone(0.5 + n)) for n in range(3)]


def test_several_files_on_an_input_for_one_all_go_to_the_input_for_many(wide, sounds):
    for tab, kind in (("speech", "sound"), ("caption", "photo"), ("video", "clip")):
        wide.open_tab(tab)
        wide.choose(tab, kind)
        fall(wide, f"#{tab}-{kind} button", sounds)
        said = tiles(wide, tab, 3)
        assert "3 files." in said and all(sound.name in said for sound in sounds)
        assert wide.page.locator(f"#{tab}-kind input[value=files]").is_checked()


def test_dropped_files_are_added_taken_out_one_by_one_or_all_and_run(wide, sounds):
    page = wide.page
    wide.open_tab("speech")
    fall(wide, "#speech-sound button", sounds[:2])
    tiles(wide, "speech", 2)
    fall(wide, "#speech-files .places", sounds[1:])
    said = tiles(wide, "speech", 3)
    assert said.count("Remove talk 1.wav") == 1, "what is there already is not added again"
    page.get_by_role("button", name="Remove talk 0.wav").click()
    tiles(wide, "speech", 2)
    page.locator("#speech-run").click()
    shown = wide.result("speech", "done")
    assert "2 of 2 files" in shown and "talk 0.wav" not in shown
    wide.reload()
    wide.open_tab("speech")
    wide.choose("speech", "files")
    assert "talk 1.wav" in tiles(wide, "speech", 2), "they are there after a reload"
    page.locator("#speech-files").get_by_text("Remove all", exact=True).click()
    page.locator("#speech-files").get_by_role("button", name="Remove them").click()
    tiles(wide, "speech", 0)
    page.locator("#speech-run").click()
    assert "Drop the files first" in wide.result("speech", "error")


def test_a_folder_is_chosen_with_all_that_is_in_it(wide, tmp_path):
    folder = tmp_path / "recordings"
    (folder / "deep").mkdir(parents=True)
    for name in ("one.wav", "deep/two.wav", ".hidden.wav"):
        write_sound(folder / name, tone(0.5))
    for tab in ("speech", "caption", "video"):
        wide.open_tab(tab)
        wide.choose(tab, "files")
        wide.page.locator(f"#{tab}-files input[webkitdirectory]").set_input_files(folder)
        said = tiles(wide, tab, 2)
        assert "one.wav" in said and "two.wav" in said, "hidden files are left out"
        assert wide.serious_faults() == []


def test_a_folder_that_is_dropped_on_an_input_for_one_is_walked_through(wide, sounds):
    """A browser makes folders of real drops only: here they are as its entries are."""
    wide.open_tab("speech")
    transfer = wide.page.evaluate_handle(
        """(files) => {
        const made = ([name, bytes]) => new File([new Uint8Array(bytes)], name);
        const one = (given) => ({ name: given[0], isFile: true, file: (done) => done(made(given)) });
        const folder = (name, inside) => ({ name, isDirectory: true, createReader: () => {
          let left = inside;
          return { readEntries: (done) => { done(left); left = []; } };
        } });
        const root = folder('talks', [one(files[0]), folder('deep', [one(files[1])])]);
        const all = new DataTransfer();
        all.items.add(new File([], 'talks'));
        Object.defineProperty(all, 'items', { value: [{ webkitGetAsEntry: () => root }] });
        return all }""",
        [[path.name, list(path.read_bytes())] for path in sounds[:2]],
    )
    wide.page.locator("#speech-sound button").first.dispatch_event("drop", {"dataTransfer": transfer})
    said = tiles(wide, "speech", 2)
    assert "talk 0.wav" in said and "talk 1.wav" in said


def test_where_only_one_file_is_taken_several_are_refused_in_a_sentence(wide, tmp_path, photo):
    files = [write_photo(tmp_path / f"{n}.png", photo) for n in range(2)]
    wide.choose("search", "photo")
    fall(wide, "#search-photo button", files)
    said = "getComputedStyle(document.querySelector('#search-photo .wrap:has(> .icon-wrap)'), '::after').content"
    assert "drop one file at a time" in wide.page.evaluate(said)
    wide.take_in()
    assert wide.page.locator("#search-photo img").count() == 0, "none of them is taken in silence"
    fall(wide, "#search-photo button", files[:1])
    wide.page.wait_for_selector("#search-photo img")
    assert wide.page.locator("#search-photo[data-unplayable]").count() == 0
