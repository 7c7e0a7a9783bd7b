"""Indexing follows a folder, search finds what was indexed, and both say what they could not do."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines import media
from engines.encoder import MediaEncoder
from engines.errors import CollectionError, MediaError, RequestError
from engines.media import ocr
from engines.media.refusals import refusal
from engines.model import checkpoint
from engines.protocol import (
    EmbedRequest,
    IndexRequest,
    IndexResult,
    Photo,
    SearchRequest,
    SearchResult,
    Sound,
    run,
)
from engines.tasks import search
from tests.conftest import SAMPLES, tone, write_photo, write_sound


@pytest.fixture
def folder(tmp_path, photo) -> Path:
    """Two photos, a sound and two texts in folders, beside what should not be read."""
    (tmp_path / "media" / "deep").mkdir(parents=True)
    (tmp_path / "media" / ".hidden").mkdir()
    media = tmp_path / "media"
    write_photo(media / "red.png", photo)
    write_photo(media / "deep" / "blue.jpg", Photo(np.full_like(photo.pixels, (0, 0, 200))))
    write_sound(media / "tone.wav", tone(12.0))
    (media / "notes.txt").write_text("A dog on the beach.\n\nTrains leave at nine.", encoding="utf-8")
    (media / "program.exe").write_bytes(b"MZ")
    write_photo(media / ".hidden" / "secret.png", photo)
    return media


def indexed(encoder: MediaEncoder, folder: Path, collection: Path | str) -> IndexResult:
    *_, last = search.index(encoder, IndexRequest(folder=folder, collection=collection))
    return last


@pytest.fixture
def db(encoder, folder, tmp_path) -> Path:
    """The collection of that folder."""
    indexed(encoder, folder, tmp_path / "my.db")
    return tmp_path / "my.db"


def found(encoder: MediaEncoder, query: object, collection: Path | str, **options: object) -> SearchResult:
    request = SearchRequest(query=query, collection=collection, **options)
    *_, last = search.search(encoder, request)
    return last


def test_a_folder_is_read_once_and_then_only_what_changed(encoder, folder, tmp_path, photo):
    db = tmp_path / "my.db"
    first = indexed(encoder, folder, db)
    assert (first.n_added, first.n_unchanged, first.n_removed, first.end) == (4, 0, 0, "finished")
    assert first.n_rows == 5, "two photos, two windows of sound, one short text"
    assert indexed(encoder, folder, db).n_unchanged == 4
    (folder / "red.png").unlink()
    write_photo(folder / "green.png", Photo(np.full_like(photo.pixels, (0, 200, 0))))
    third = indexed(encoder, folder, db)
    assert (third.n_added, third.n_unchanged, third.n_removed, third.n_rows) == (1, 3, 1, 5)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_among_the_files_is_passed_over_and_named(encoder, folder, tmp_path):
    os.mkfifo(folder / "notes2.txt")
    last = indexed(encoder, folder, tmp_path / "my.db")
    assert (last.n_added, last.end) == (4, "finished")
    assert last.passed == ("notes2.txt", "program.exe") and last.n_passed == 2


def test_a_file_with_an_unusual_ending_is_judged_by_what_it_holds(encoder, folder, tmp_path, photo):
    write_photo(folder / "camera.png", photo).rename(folder / "camera.picture")
    write_sound(folder / "radio.wav", tone(1.0)).rename(folder / "radio.rec")
    (folder / "page.html").write_text("<p>A cat on the sofa.</p>", encoding="utf-8")
    last = indexed(encoder, folder, tmp_path / "my.db")
    assert last.n_added == 7 and last.passed == ("program.exe",)


def test_what_cannot_be_read_is_named_with_its_reason_and_the_rest_goes_on(encoder, folder, tmp_path):
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a photo")
    (folder / "empty.txt").write_text("", encoding="utf-8")
    last = indexed(encoder, folder, tmp_path / "my.db")
    assert dict(last.failures).keys() == {"broken.jpg", "empty.txt"} and last.n_added == 4
    assert dict(last.failures)["empty.txt"].en == "empty.txt is empty (0 bytes); record or download it again."
    assert all(str(tmp_path) not in reason.en for _, reason in last.failures)
    assert dict(last.failures)["empty.txt"] == refusal("empty", folder / "empty.txt").message


def test_progress_is_told_file_by_file(encoder, folder, tmp_path):
    results = list(search.index(encoder, IndexRequest(folder=folder, collection=tmp_path / "my.db")))
    counted = [result.progress for result in results if result.progress and result.progress.stage == "reading"]
    assert [p.total for p in counted] == [4.0] * len(counted)
    assert [p.done for p in counted] == sorted(p.done for p in counted) and counted[-1].done == 4.0
    assert {p.unit for p in counted} == {"files"}


def test_a_stop_keeps_what_is_finished(encoder, folder, tmp_path):
    db = tmp_path / "my.db"
    steps = search.index(encoder, IndexRequest(folder=folder, collection=db))
    for result in steps:
        if result.n_added == 2:
            break
    steps.close()
    last = indexed(encoder, folder, db)
    assert (last.n_unchanged, last.n_added) == (2, 2)


def test_one_file_is_indexed_by_itself_and_leaves_the_others_alone(encoder, db, folder):
    (folder / "notes.txt").write_text("Other words.", encoding="utf-8")
    last = indexed(encoder, folder / "notes.txt", db)
    assert (last.n_added, last.n_unchanged, last.n_removed, last.n_rows) == (1, 0, 0, 5)


def test_a_collection_at_an_address_is_filled_and_searched_as_a_file_is(encoder, folder, tmp_path):
    pytest.importorskip("lancedb", reason="LanceDB is not installed")
    address = (tmp_path / "my collection").as_uri()
    assert indexed(encoder, folder, address).n_rows == 5
    assert indexed(encoder, folder, address).n_unchanged == 4
    indexed(encoder, folder, tmp_path / "my.db")
    for query in ("a red square", folder / "red.png"):
        hits = [found(encoder, query, where).hits for where in (address, tmp_path / "my.db")]
        assert [hit.path for hit in hits[0]] == [hit.path for hit in hits[1]]
        assert [hit.score for hit in hits[0]] == pytest.approx([hit.score for hit in hits[1]], abs=1e-3)


def test_links_that_lead_back_up_are_followed_once(encoder, folder, tmp_path):
    (folder / "deep" / "up").symlink_to(folder)
    assert indexed(encoder, folder, tmp_path / "my.db").n_added == 4


def test_two_folders_share_a_collection(encoder, folder, tmp_path, photo):
    other = tmp_path / "other"
    other.mkdir()
    write_photo(other / "more.png", photo)
    indexed(encoder, folder, tmp_path / "my.db")
    last = indexed(encoder, other, tmp_path / "my.db")
    assert last.n_removed == 0 and last.n_rows == 6


def test_another_model_starts_the_collection_anew(encoder, db, folder):
    other = MediaEncoder(checkpoint.tiny(seed=5))
    with pytest.raises(CollectionError, match=r"my\.db was made by another model"):
        found(other, "dog", db)
    last = indexed(other, folder, db)
    assert last.n_added == 4 and last.renewed
    assert not indexed(other, folder, db).renewed
    assert found(other, "dog", db).end == "finished"


def test_a_damaged_collection_is_made_anew_and_another_programs_file_is_left(encoder, folder, tmp_path):
    db = tmp_path / "my.db"
    assert not indexed(encoder, folder, db).renewed
    with sqlite3.connect(db) as database:
        database.execute("UPDATE rows SET vector = x'00'")
    with pytest.raises(CollectionError, match=r"my\.db is damaged; index the folder again, and it is made anew\."):
        found(encoder, "dog", db)
    last = indexed(encoder, folder, db)
    assert (last.n_added, last.n_rows, last.renewed) == (4, 5, True)
    db.write_text("shopping list\n" * 100)
    with pytest.raises(CollectionError, match=r"my\.db is no collection, or damaged beyond recognition"):
        indexed(encoder, folder, db)
    assert db.read_text().startswith("shopping list")


def test_an_emptied_folder_takes_nothing_out_unless_it_is_pruned(encoder, db, folder, tmp_path):
    folder.rename(tmp_path / "elsewhere")
    folder.mkdir()  # as a mount point without its disk
    last = indexed(encoder, folder, db)
    assert (last.n_removed, last.n_missing, last.n_rows) == (0, 4, 5)
    *_, last = search.index(encoder, IndexRequest(folder=folder, collection=db, prune=True))
    assert (last.n_removed, last.n_missing, last.n_rows) == (4, 0, 0)


def test_an_emptied_folder_in_the_folder_keeps_its_files_unless_it_is_pruned(encoder, db, folder, tmp_path):
    (folder / "deep").rename(tmp_path / "elsewhere")
    (folder / "deep").mkdir()  # as a mount point without its disk
    last = indexed(encoder, folder, db)
    assert (last.n_removed, last.n_missing, last.n_rows, last.n_unchanged) == (0, 1, 5, 3)
    *_, last = search.index(encoder, IndexRequest(folder=folder, collection=db, prune=True))
    assert (last.n_removed, last.n_missing, last.n_rows) == (1, 0, 4)


def test_a_folder_that_cannot_be_listed_keeps_its_files(encoder, db, folder, monkeypatch):
    real = os.scandir

    def scandir(path):
        if Path(path) == folder / "deep":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    last = indexed(encoder, folder, db)
    assert (last.n_removed, last.n_missing, last.n_rows, last.end) == (0, 1, 5, "finished")


def test_a_folder_whose_disk_does_not_answer_keeps_its_files(encoder, db, folder, monkeypatch):
    shutil.rmtree(folder / "deep")
    (folder / "deep").touch()  # what cannot be asked about is listed among the files
    real = Path.stat

    def stat(path, **options):
        if path.is_relative_to(folder / "deep"):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    last = indexed(encoder, folder, db)
    assert (last.n_removed, last.n_missing, last.n_rows, last.end) == (0, 1, 5, "finished")


def test_a_deleted_folder_and_a_file_deleted_beside_others_are_taken_out(encoder, folder, tmp_path, photo):
    write_photo(folder / "deep" / "green.png", photo)
    (folder / "gone").mkdir()
    write_photo(folder / "gone" / "white.png", photo)
    indexed(encoder, folder, tmp_path / "my.db")
    (folder / "deep" / "green.png").unlink()
    shutil.rmtree(folder / "gone")
    last = indexed(encoder, folder, tmp_path / "my.db")
    assert (last.n_removed, last.n_missing, last.n_unchanged) == (2, 0, 4)


def test_a_file_whose_name_is_not_text_is_read_or_fails_alone(encoder, folder, tmp_path):
    def named(name: bytes) -> Path:
        return Path(os.fsdecode(os.fsencode(folder / "deep") + b"/" + name))

    for name in (b"caf\xe9.jpg", b"caf\xe9.txt"):
        named(name).write_bytes(b"\x7fELF" + bytes(500))
    Image.new("RGB", (8, 8)).save(named(b"gr\xfcn.png"))
    last = indexed(encoder, folder, tmp_path / "my.db")
    assert last.n_added == 5 and [name for name, _ in last.failures] == ["caf?.jpg", "caf?.txt"]
    assert all(reason.en.startswith("caf?.") and "caf?." in reason.zh for _, reason in last.failures)


def test_a_query_is_found_however_its_letters_are_written(encoder, db):
    plain = found(encoder, "a dog", db).hits
    for query in ("A DOG", "ａ ｄｏｇ", "ａ　ｄｏｇ", "a do\u200bg", "\ufeffa dog"):
        assert [(hit.path, hit.score) for hit in found(encoder, query, db).hits] == [(h.path, h.score) for h in plain]


def test_an_empty_folder_and_a_missing_one_are_different_ends(encoder, tmp_path):
    (tmp_path / "bare").mkdir()
    assert indexed(encoder, tmp_path / "bare", tmp_path / "my.db").end == "empty"
    with pytest.raises(RequestError, match=r"^The folder 'gone' does not exist; choose another\.$"):
        indexed(encoder, tmp_path / "gone", tmp_path / "my.db")


def test_a_photo_finds_itself_first(encoder, db, folder):
    result = found(encoder, folder / "red.png", db, kinds=frozenset({"photo"}))
    assert [hit.path.name for hit in result.hits] == ["red.png", "blue.jpg"]
    assert result.hits[0].score == pytest.approx(1.0, abs=1e-2) and 0.0 <= result.hits[0].fit <= 1.0


def test_a_sound_is_found_with_the_place_in_it(encoder, db):
    hits = found(encoder, Sound(tone(12.0)), db, kinds=frozenset({"sound", "speech"})).hits
    assert {(hit.path.name, hit.start_s, hit.end_s) for hit in hits} == {
        ("tone.wav", 0.0, 10.0),
        ("tone.wav", 10.0, 12.0),
    }


def test_a_text_is_found_by_its_own_words_and_shown(encoder, db):
    (hit,) = found(encoder, "A dog on the beach.\n\nTrains leave at nine.", db, kinds=frozenset({"text"})).hits
    assert hit.path.name == "notes.txt" and "Trains leave" in hit.text and hit.score > 0.9


def test_hits_come_best_fit_first_and_no_more_than_asked_for(encoder, db):
    hits = found(encoder, "a red square", db, k=3).hits
    assert len(hits) == 3 and [hit.fit for hit in hits] == sorted((hit.fit for hit in hits), reverse=True)


def test_long_texts_are_cut_into_paragraphs():
    text = "\n\n".join(f"Paragraph {n}. " + "Some words that fill it. " * 15 for n in range(4)) + "\n" + "x" * 2000
    parts = list(search._paragraphs(text))
    assert len(parts) >= 8 and all(0 < len(part) <= 700 for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


@pytest.mark.parametrize("media", ["a dog", "photo", "sound", "clip"])
def test_anything_can_be_embedded(encoder, media, request):
    thing = media if " " in media else request.getfixturevalue(media)
    *_, last = search.embed(encoder, EmbedRequest(media=thing))
    assert last.end == "finished" and np.linalg.norm(last.vector) == pytest.approx(1.0, abs=1e-5)
    assert last.kind == ("text" if " " in media else media) or {media, last.kind} == {"sound", "speech"}


def test_the_built_in_model_finds_a_sample_photo_by_its_own_caption(builtin, tmp_path):
    from engines.protocol import CaptionRequest, CaptionResult

    photos = sorted(path for path in SAMPLES.rglob("*") if path.suffix in {".jpg", ".png"})
    if len(photos) < 3:
        pytest.skip("no sample photos in this checkout")
    run(builtin, IndexRequest(folder=SAMPLES, collection=tmp_path / "samples.db"))
    caption = run(builtin, CaptionRequest(media=photos[0]))
    assert isinstance(caption, CaptionResult)
    request = SearchRequest(query=caption.text, collection=tmp_path / "samples.db", kinds=frozenset({"photo"}), k=3)
    result = run(builtin, request)
    assert isinstance(result, SearchResult) and photos[0].name in {hit.path.name for hit in result.hits}


# --- words in pictures, and why a hit is one ----------------------------------------------------------------------


@pytest.fixture
def signs(monkeypatch) -> dict[str, tuple[str, ...]]:
    """What is written in files, by their names, as a reader would find it; an empty dict reads nothing anywhere."""
    lines: dict[str, tuple[str, ...]] = {}

    def read(path: Path, **_: object) -> Iterator[media.Words]:
        if path.name in lines:
            yield media.Words(lines[path.name])

    monkeypatch.setattr(ocr, "is_installed", lambda: True)
    monkeypatch.setattr(search.files, "stream_words", read)
    return lines


def test_a_picture_is_found_by_the_words_in_it_and_the_hit_says_so(encoder, folder, tmp_path, signs):
    signs |= {"red.png": ("PLATFORM 12", "Trains to Berlin"), "blue.jpg": ("三号会议室",)}
    assert indexed(encoder, folder, tmp_path / "my.db").n_rows == 7
    for query, name, text in (("platform 12", "red.png", "PLATFORM 12"), ("会议室", "blue.jpg", "三号会议室")):
        best = found(encoder, query, tmp_path / "my.db").hits[0]
        assert (best.path.name, best.kind, best.why[0]) == (name, "photo", "written")
        assert text in best.text and best.fit >= 0.5


def test_words_and_picture_of_one_photo_are_one_hit(encoder, folder, tmp_path, signs):
    signs["red.png"] = ("Platform 12",)
    indexed(encoder, folder, tmp_path / "my.db")
    names = [hit.path.name for hit in found(encoder, "platform 12", tmp_path / "my.db").hits if hit.kind == "photo"]
    assert sorted(names) == ["blue.jpg", "red.png"]


def test_a_file_that_was_looked_for_gives_no_reasons(encoder, folder, tmp_path, signs):
    signs["red.png"] = ("Platform 12",)
    indexed(encoder, folder, tmp_path / "my.db")
    assert {hit.why for hit in found(encoder, folder / "red.png", tmp_path / "my.db").hits} == {()}


def test_texts_and_sounds_say_why_they_are_hits(encoder, db):
    why = {hit.kind: hit.why[0] for hit in found(encoder, "trains leave at nine", db).hits}
    assert why["text"] == "written" and why["photo"] in ("seen", "named")
    assert why.get("sound", "heard") == "heard" and why.get("speech", "said") == "said"


def test_pictures_indexed_before_words_could_be_read_are_read_again_once(encoder, folder, tmp_path, monkeypatch):
    db = tmp_path / "my.db"
    with monkeypatch.context() as without:
        without.setattr(ocr, "is_installed", lambda: False)
        first = indexed(encoder, folder, db)
    assert [note.key for note in first.notes] == ["note.ocr_missing"]
    monkeypatch.setattr(ocr, "is_installed", lambda: True)
    monkeypatch.setattr(search.files, "stream_words", lambda path, **_: iter([media.Words(("Platform 12",))]))
    again = indexed(encoder, folder, db)
    assert (again.n_added, again.n_unchanged, again.notes) == (2, 2, ()), "two pictures; a sound and a text stay"
    assert indexed(encoder, folder, db).n_unchanged == 4
    assert found(encoder, "platform 12", db).hits[0].why[0] == "written"


def test_words_that_cannot_be_read_cost_the_file_nothing(encoder, folder, tmp_path, monkeypatch):
    def fail(path: Path, **_: object) -> Iterator[media.Words]:
        raise MediaError("media_words_unread", "The words in {name} could not be read.", name=path.name)
        yield

    monkeypatch.setattr(ocr, "is_installed", lambda: True)
    monkeypatch.setattr(search.files, "stream_words", fail)
    last = indexed(encoder, folder, tmp_path / "my.db")
    assert (last.n_added, last.failures, last.n_rows) == (4, (), 5)
