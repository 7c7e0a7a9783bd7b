"""The samples: each has a source and a licence, opens, can be heard, and is listed for the page in both languages."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from engines import media
from engines.evaluation.suites import holds_name
from engines.paths import ASSETS
from engines.protocol import (
    AskRequest,
    AskResult,
    CaptionRequest,
    CaptionResult,
    Host,
    IndexRequest,
    SearchRequest,
    SearchResult,
    run,
)
from tests.conftest import SAMPLES

MEDIA_SUFFIXES = media.PHOTO_SUFFIXES | media.SOUND_SUFFIXES | media.CLIP_SUFFIXES
FILES = sorted(path for path in SAMPLES.iterdir() if path.suffix in MEDIA_SUFFIXES)
ROWS = json.loads((SAMPLES / "samples.json").read_text(encoding="utf-8"))
KIND_OF_MEDIA = {"photo": "photo", "sound": "sound", "speech": "sound", "clip": "clip"}
LICENCE = re.compile(r"^(public domain|CC0 1\.0|CC BY(-SA)? \d\.\d|Free Art License 1\.2)$")

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])


def sources() -> dict[str, dict[str, str]]:
    """The tables of SOURCES.md: file name -> column -> cell."""
    found: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for line in (SAMPLES / "SOURCES.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| File |"):
            columns = cells
        elif line.startswith("| "):
            found[cells[0]] = dict(zip(columns, cells, strict=True))
    return found


def test_the_first_screen_is_ready_for_the_model_and_the_samples_of_this_version():
    """Where this fails, run `python -m scripts.prepare_samples`."""
    shipped = json.loads((ASSETS / "wall" / "index.json").read_text(encoding="utf-8"))
    model = json.loads((ASSETS / "models" / "builtin" / "config.json").read_text(encoding="utf-8"))
    assert shipped["model"] == model["weights_sha256"]
    for path in FILES:
        entry = shipped["files"][path.name]
        assert entry["sha256"] == media.content_digest(path) and entry["rows"]
        assert len(list((ASSETS / "wall").glob(f"{path.name}.[js][pv]g"))) == 1


def test_every_file_has_a_source_and_a_licence_and_is_shown_in_both_languages():
    listed = sources()
    for row in ROWS:
        source = listed[row["file"]]
        assert source.get("From") or source["Picture"]
        assert source.get("Author") or source.get("Authors") or source["Voice"]
        assert LICENCE.match(source["Licence"]), source["Licence"]
        assert row["title_en"].isascii() and not row["title_zh"].isascii()
        assert row["tab"] and set(row["tab"]) <= {"search", "speech", "video", "caption"}
        asked = row.get("question_en", ""), row.get("question_zh", "")
        assert [bool(question) for question in asked] == [row["kind"] == "clip"] * 2


def test_nothing_is_listed_that_is_not_there():
    names = {path.name for path in FILES}
    assert set(sources()) == names
    assert {row["file"] for row in ROWS} == names
    assert len(ROWS) == len(names)


def test_all_samples_together_stay_under_eight_megabytes():
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 8 * 10**6


@every_row
def test_every_file_is_what_its_kind_says(row):
    assert media.probe(SAMPLES / row["file"]).kind == KIND_OF_MEDIA[row["kind"]]


@every_row
def test_every_photo_and_frame_shows_something_and_every_sound_can_be_heard(row):
    path = SAMPLES / row["file"]
    pictures, sound = [], None
    if row["kind"] == "photo":
        pictures = [media.load_photo(path).pixels]
    elif row["kind"] == "clip":
        clip = media.load_clip(path, n_frames=4, max_side=128)
        pictures, sound = list(clip.frames), clip.sound
    else:
        sound = media.load_sound(path)
    assert all(picture.std() > 20 for picture in pictures)
    assert sound is None or 0.02 < float(np.sqrt(np.mean(sound.samples**2))) < 0.5


@pytest.mark.parametrize(
    ("tab", "kinds"),
    [
        ("search", {"photo", "sound", "speech", "clip"}),
        ("speech", {"speech", "clip"}),
        ("video", {"clip"}),
        ("caption", {"photo", "sound", "clip"}),
    ],
)
def test_every_tab_has_samples_of_each_kind_it_takes(tab, kinds):
    assert {row["kind"] for row in ROWS if tab in row["tab"]} == kinds


def test_a_clip_filmed_with_the_phone_upright_comes_out_upright():
    clip = media.load_clip(SAMPLES / "kitten-on-the-phone.mp4", n_frames=1)
    height, width, _ = clip.frames[0].shape
    assert height > width
    # The kitten, white, lies in the upper half; below it there is only the red cloth.
    whiteness = clip.frames[0].min(axis=2)
    assert whiteness[: height // 2].mean() > 1.5 * whiteness[height // 2 :].mean()


SHOWN = {
    "dog.jpg": "dog shepherd",
    "astronaut.jpg": "man woman person astronaut",
    "horses.jpg": "horse",
    "cat.jpg": "cat kitten",
    "cow.jpg": "cow ox bull animal",
    "coffee.jpg": "coffee espresso cup",
    "pagoda.jpg": "palace temple building tower pagoda bridge",
    "kingfisher.webp": "bird kingfisher eater",
    "rocket.jpg": "rocket missile tower rig",
    "dog.mp4": "dog",
    "astronaut-and-dog.mp4": "dog woman man person",
    "coffee-and-rain.mp4": "coffee espresso cup",
    "palace.mp4": "palace building castle wall",
    "silent-horses.mp4": "horse",
    "kitten-on-the-phone.mp4": "cat kitten",
}
"""Words of which a caption that names what is there holds one."""


MISSED = {"silent-horses.mp4", "horses.jpg"}
"""What the sixth model does not name: no class of its concept head is likely enough (horses are no class of it)."""
TITLES_MISSED = {"Astronaut", "Kingfisher", "Rocket"}
"""Titles that are no name of a class (an astronaut, a kingfisher), or of one that the head does not see (a rocket)."""


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, marks=pytest.mark.xfail(reason="not named yet") if file in MISSED else ()) for file in SHOWN],
)
def test_a_photo_or_clip_gets_a_caption_that_names_what_is_on_it(file, builtin):
    result = run(builtin, CaptionRequest(media=SAMPLES / file))
    assert isinstance(result, CaptionResult)
    assert holds_name(result.text, tuple(SHOWN[file].split()), "en"), result.text


@pytest.mark.parametrize(
    ("question", "language", "wanted"),
    [
        ("What animal is this?", "en", "cat"),
        ("What is it?", "de", "katze"),
        ("\N{CJK UNIFIED IDEOGRAPH-8FD9}是什么动物？", "zh", "猫"),
    ],
)
def test_a_question_for_a_name_gets_the_name_that_is_seen(builtin, question, language, wanted):
    result = run(builtin, AskRequest(media=SAMPLES / "cat.jpg", question=question, language=language))
    assert isinstance(result, AskResult)
    assert wanted in result.text.lower()
    assert result.modalities == (("picture", 1.0),) and result.confidence == result.names[0][1]


@pytest.mark.parametrize("hide", ["picture", "names"])
def test_a_name_that_is_hidden_is_not_given(builtin, hide):
    request = AskRequest(media=SAMPLES / "cat.jpg", question="What animal is this?", hide=frozenset({hide}))
    result = run(builtin, request)
    assert isinstance(result, AskResult)
    assert "egyptian cat" not in result.text.lower()


@pytest.fixture(scope="module")
def photos(builtin, tmp_path_factory) -> Path:
    """A collection of the photos."""
    folder = tmp_path_factory.mktemp("photos")
    for row in ROWS:
        if row["kind"] == "photo":
            shutil.copy(SAMPLES / row["file"], folder)
    collection = tmp_path_factory.mktemp("collections") / "photos.db"
    run(builtin, IndexRequest(folder=folder, collection=collection))
    return collection


def search(builtin: Host, query: str, collection: Path) -> SearchResult:
    found = run(builtin, SearchRequest(query=query, collection=collection, k=1))
    assert isinstance(found, SearchResult)
    return found


def test_the_title_of_a_photo_finds_it_first(builtin, photos):
    titles = {row["title_en"]: row["file"] for row in ROWS if row["kind"] == "photo"}
    missed = {title for title, file in titles.items() if search(builtin, title, photos).hits[0].path.name != file}
    assert missed <= TITLES_MISSED


@pytest.mark.parametrize("query", ["xkcd qwrtz", "asdf jkl", "hgfd", "%%%%"])
def test_letters_typed_at_random_fit_nothing(builtin, photos, query):
    assert search(builtin, query, photos).hits[0].fit < 0.2


@pytest.mark.parametrize("query", ["a cat", "Horses", "a cup of coffee", "猫", "un chat"])
def test_what_people_ask_for_still_fits(builtin, photos, query):
    assert search(builtin, query, photos).hits[0].fit > 0.5
