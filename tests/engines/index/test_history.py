"""The history: what is kept comes back as it was, is found by its words, and goes when it should."""

from __future__ import annotations

import sqlite3
import stat
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.errors import Message, UserError
from engines.index.history import History
from engines.protocol import (
    AskRequest,
    AskResult,
    CaptionRequest,
    CaptionResult,
    EmbedRequest,
    EmbedResult,
    Filter,
    Hit,
    Photo,
    Result,
    SearchRequest,
    SearchResult,
    Segment,
    Term,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
    Word,
)

DOG = Path("/photos/the dog.jpg")
PICTURE = b"jpeg", "image/jpeg"

CAPTION = CaptionResult(
    request=CaptionRequest(media=DOG, language="de"),
    text="Ein Hund läuft.",
    confidence=0.5,
    unsure=True,
    guesses=("dog", "wolf"),
    names=(("dog", 0.75),),
    notes=(Message("note.test", "{n} of {names} in {file}.", n=2, names=["a", "b"], file=Message("k", "a file")),),
    end="finished",
)
TRANSCRIPT = TranscribeResult(
    request=TranscribeRequest(media=Path("talk.wav"), translate_to="de"),
    language="en",
    duration_s=3.0,
    segments=(Segment(0.0, 1.0, "Good morning.", (Word(0.0, 0.5, "Good", 0.9),), "Guten Morgen.", "en", 0.9),),
    end="cut",
)
ANSWER = AskResult(
    request=AskRequest(media=DOG, question="What is it?", history=(("Who?", "A dog."),), hide=frozenset({"sound"})),
    text="A dog.",
    modalities=(("picture", 0.5),),
    moments_s=(1.5,),
    end="finished",
)
TRANSLATION = TranslateResult(
    request=TranslateRequest(text="Good\nmorning.", source="en", target="zh"), text="早上好。", end="finished"
)
SEARCH = SearchResult(
    request=SearchRequest(
        query=(Term("a dog"), Term(DOG, -0.5)), collection=Path("a.sqlite"), only=Filter(near=(1.0, 2.0))
    ),
    hits=(Hit(DOG, "photo", 0.4, 0.9),),
    end="finished",
)


@pytest.fixture
def history(tmp_path) -> History:
    return History(tmp_path / "home" / "history.sqlite")


def kept(history: History, result: Result) -> int:
    entry_id = history.add(result)
    assert entry_id is not None
    return entry_id


@pytest.mark.parametrize(
    "result", [CAPTION, TRANSCRIPT, ANSWER, TRANSLATION, SEARCH], ids=lambda each: type(each).__name__
)
def test_a_result_comes_back_as_it_was(history, result):
    assert history.result(kept(history, result)) == result


def test_a_result_kept_with_the_old_name_of_a_field_opens(history):
    entry_id = kept(history, ANSWER)
    with sqlite3.connect(history._file) as db:
        db.execute("""UPDATE entries SET result = replace(result, '"modalities"', '"senses"')""")
    assert history.result(entry_id) == ANSWER


def test_the_newest_comes_first_with_its_name_and_thumbnail(history):
    kept(history, TRANSCRIPT)
    entry_id = history.add(ANSWER, PICTURE)
    first, second = history.find()
    assert (first.id, first.task, first.about, first.text) == (entry_id, "ask", "the dog.jpg: What is it?", "A dog.")
    assert (first.media, first.has_thumbnail, second.has_thumbnail) == (str(DOG), True, False)
    assert history.thumbnail(first.id) == PICTURE and history.thumbnail(second.id) is None


@pytest.mark.parametrize(
    ("words", "tasks"),
    [
        ("DOG", ["search", "ask", "caption"]),
        ("morgen", ["transcribe"]),
        ("早上", ["translate"]),
        ("LÄUFT", ["caption"]),
        ("dog ask", ["ask"]),
        ("100%", []),
        ("d_g", []),
        ("", ["search", "translate", "ask", "transcribe", "caption"]),
    ],
)
def test_entries_are_found_by_all_their_words(history, words, tasks):
    for result in (CAPTION, TRANSCRIPT, ANSWER, TRANSLATION, SEARCH):
        kept(history, result)
    assert [entry.task for entry in history.find(words)] == tasks


def test_a_run_of_the_lab_is_kept_found_and_deleted_like_a_result(history):
    kept(history, CAPTION)
    run = {"experiment": "fusion", "tables": [[1, None]]}
    entry_id = history.add_run("fusion: seed 7", "picture 90.0 %", run, b"\x00file")
    assert history.run(entry_id) == (run, b"\x00file")
    (found,) = history.find("FUSION 90.0")
    assert (found.id, found.task, found.about, found.media) == (entry_id, "lab", "fusion: seed 7", "")
    with pytest.raises(UserError, match="another version"):
        history.result(entry_id)
    with pytest.raises(UserError, match="no longer"):
        history.run(entry_id - 1)  # a caption
    assert history.delete([entry_id]) == 1
    with pytest.raises(UserError, match="no longer"):
        history.run(entry_id)
    history.turn(on=False)
    assert history.add_run("fusion", "", run, b"") is None


def test_what_did_not_end_well_or_is_of_no_tab_is_not_kept(history):
    embedded = EmbedResult(request=EmbedRequest(media="a dog"), end="finished")
    in_memory = CaptionRequest(media=Photo(np.zeros((4, 4, 3), np.uint8)))
    for result in (
        replace(CAPTION, end="cancelled"),
        replace(CAPTION, end="empty"),
        replace(CAPTION, end=None),
        embedded,
        replace(CAPTION, request=in_memory),
    ):
        assert history.add(result) is None
    assert history.find() == []


def test_nothing_is_kept_while_it_is_off_and_what_is_there_stays(history):
    first = kept(history, CAPTION)
    history.turn(on=False)
    assert history.add(ANSWER) is None
    assert not History(history._file).is_on
    history.turn(on=True)
    second = kept(history, ANSWER)
    assert [entry.id for entry in history.find()] == [second, first]


def test_the_oldest_go_when_the_limit_is_reached(tmp_path):
    history = History(tmp_path / "history.sqlite", limit_bytes=3_000)
    ids = [kept(history, replace(CAPTION, text=f"{n} " + 500 * "x")) for n in range(6)]
    left = [entry.id for entry in history.find()]
    assert left == ids[::-1][: len(left)] and 1 <= len(left) < 6


def test_a_search_that_went_on_takes_the_place_of_its_part(history):
    def search(words: str) -> SearchResult:
        return replace(SEARCH, request=SearchRequest(query=words, collection=Path("a.sqlite")))

    part = kept(history, search("a d"))
    assert history.add(search("a dog"), instead_of=part) == part
    (entry,) = history.find()
    assert entry.about == "a dog"


def test_one_is_deleted_or_all_and_no_byte_of_them_stays(history):
    first, second = kept(history, CAPTION), kept(history, ANSWER)
    assert history.delete([first, first, 99]) == 1
    with pytest.raises(UserError, match="no longer in the history"):
        history.result(first)
    with pytest.raises(UserError, match="no longer in the history"):
        history.entry(first)
    assert [entry.id for entry in history.find()] == [second]
    assert history.clear() == 1
    assert history.find() == []
    assert b"What is it?" not in history._file.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="rights are those of POSIX")
def test_only_its_owner_may_read_the_file(history):
    kept(history, CAPTION)
    assert stat.S_IMODE(history._file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["no json", "[1]", '{"is": "Path", "path": "a"}', '{"is": "run"}', '{"is": "Hit"}'])
def test_a_result_of_another_version_is_one_sentence(history, content):
    entry_id = kept(history, CAPTION)
    with sqlite3.connect(history._file) as db:
        db.execute("UPDATE entries SET result = ?", (content,))
    with pytest.raises(UserError, match="another version"):
        history.result(entry_id)


def test_a_file_that_is_no_database_is_one_sentence(tmp_path):
    file = tmp_path / "history.sqlite"
    file.write_bytes(b"nothing of the kind " * 100)
    with pytest.raises(UserError, match=r"history\.sqlite, cannot be read"):
        History(file).find()


def test_an_id_too_large_for_the_file_is_that_of_no_result(history):
    for asked in (history.result, history.entry, history.thumbnail):
        with pytest.raises(UserError, match=r"^This result is no longer in the history\.$"):
            asked(10**30)
    with pytest.raises(UserError, match="no longer in the history"):
        history.delete([10**30])


def test_a_corrected_result_takes_the_place_of_its_entry_and_of_no_other(history):
    entry_id = history.add(CAPTION, PICTURE)
    corrected = replace(CAPTION, text="Ein Fuchs schläft.", confidence=None)
    assert history.correct(entry_id, corrected)
    (entry,) = history.find("Fuchs")
    assert history.result(entry_id) == corrected and entry.has_thumbnail and not history.find("Hund läuft")
    assert not history.correct(entry_id, TRANSCRIPT), "another request"
    assert not history.correct(99, corrected), "no entry"
    assert history.result(entry_id) == corrected
