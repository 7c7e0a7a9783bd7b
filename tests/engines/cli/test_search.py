"""index, search and duplicates: requests, queries, filters, and the forms of what is found."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from engines.cli import main
from engines.cli.search import terms_of
from engines.errors import RequestError, UserError
from engines.index import Collection, LanceCollection, Row
from engines.protocol import (
    Filter,
    Host,
    IndexRequest,
    IndexResult,
    Metadata,
    Result,
    SearchRequest,
    Term,
)
from engines.settings import Settings
from tests.fake_host import FakeHost


@pytest.mark.parametrize(
    ("words", "request_made", "printed"),
    [
        (
            "index pictures s3://bucket/pictures",
            IndexRequest(folder=Path("pictures"), collection="s3://bucket/pictures"),
            "2 added, 0 unchanged, 0 removed; 2 rows in all\n",
        ),
        ("search s3://bucket/a dog", SearchRequest(query="dog", collection="s3://bucket/a"), " 90%  photo"),
        (
            "search my.db a dog --kinds photo,sound -k 2",
            SearchRequest(query="a dog", collection=Path("my.db"), kinds=frozenset({"photo", "sound"}), k=2),
            " 90%  photo   dog.jpg\n 70%  sound   bark.wav  0-10 s\n",
        ),
        ("search my.db --file a.jpg", SearchRequest(query=Path("a.jpg"), collection=Path("my.db")), " 90%  photo"),
        ("search my.db a.jpg", SearchRequest(query=Path("a.jpg"), collection=Path("my.db")), " 90%  photo"),
        (
            "search my.db 2:dog + a.jpg - snow --since 2024 --near 48.8,-2.3,5 --camera pixel",
            SearchRequest(
                query=(Term("dog", 2.0), Term(Path("a.jpg")), Term("snow", -1.0)),
                collection=Path("my.db"),
                only=Filter(since="2024", near=(48.8, -2.3), within_km=5.0, camera="pixel"),
            ),
            " 90%  photo",
        ),
        (
            "search my.db dog --kinds text",
            SearchRequest(query="dog", collection=Path("my.db"), kinds=frozenset({"text"})),
            "(nothing found)\n",
        ),
    ],
)  # fmt: skip
def test_a_command_becomes_a_request_and_its_result_is_printed(words, request_made, printed, command, capsys):
    _, requests, host = command(*words.split())
    assert requests == [request_made] and host.closed
    assert capsys.readouterr().out.startswith(printed)


def test_files_that_could_not_be_indexed_are_failures(command, capsys):
    assert command("index", "pictures", "my.db")[0] == 1
    assert capsys.readouterr().err.startswith("broken.jpg: broken.jpg is damaged")


def test_an_emptied_folder_is_said_and_pruned_when_asked(command, capsys):
    def emptied(request: IndexRequest) -> Iterator[Result]:
        yield IndexResult(request=request, n_missing=0 if request.prune else 7, end="finished")

    host = FakeHost(scripts={IndexRequest: emptied})
    assert command("index", "pictures", "my.db", host=host)[0] == 0
    said = "7 files were kept: the folder is empty now or cannot be read; --prune removes what is gone\n"
    assert capsys.readouterr().err == said
    assert command("index", "pictures", "my.db", "--prune", host=FakeHost(scripts={IndexRequest: emptied}))[0] == 0
    assert capsys.readouterr().err == ""


def test_what_an_index_passes_over_is_counted_and_named(command, capsys):
    def indexed(request: IndexRequest) -> Iterator[Result]:
        yield IndexResult(request=request, n_passed=201, passed=("notes.doc", "pipe"), end="finished")

    host = FakeHost(scripts={IndexRequest: indexed})
    assert command("index", "pictures", "my.db", host=host)[0] == 0
    assert capsys.readouterr().err == "passed over 201 files: notes.doc, pipe, ...\n"


# --- queries -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "terms"),
    [
        (["a", "dog"], (Term("a dog"),)),
        (["a dog", "+", "a cat"], (Term("a dog"), Term("a cat"))),
        (["1.5:a dog", "-", "0.5:wet", "snow"], (Term("a dog", 1.5), Term("wet snow", -0.5))),
        (["at 10:30"], (Term("at 10:30"),)),
        (["10:30", "train"], (Term("10:30 train"),)),
        (["2:99 balloons"], (Term("2:99 balloons"),)),
        (["2:101 dalmatians"], (Term("101 dalmatians", 2.0),)),
        (["+1 dog", "e-mail"], (Term("+1 dog e-mail"),)),
    ],
)
def test_words_make_terms(words, terms):
    assert terms_of(words) == terms


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dog", "+"], "Something to look for is missing beside '+'."),
        (["dog", "+", "-", "cat"], "Something to look for is missing beside '-'."),
        (["+", "dog"], "Something to look for is missing beside '+'."),
        (["./gone.jpg"], "There is no file ./gone.jpg."),
    ],
)
def test_half_a_query_is_one_sentence(words, said):
    with pytest.raises(UserError) as caught:
        terms_of(words)
    assert caught.value.en == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("search my.db - dog", "Say what to look for, too, not only what to take away."),
        ("search my.db", "Say what to look for, too, not only what to take away."),
        *(
            (f"search my.db dog --until {day}", f"'{day}' is no date; write 2024, 2024-06 or 2024-06-01.")
            for day in ("2024-13", "2024-02-31", "0000")
        ),
        ("search my.db dog --since June", "'June' is no date; write 2024, 2024-06 or 2024-06-01."),
        ("search my.db dog --near Paris", "'Paris' is no place; write LAT,LON or LAT,LON,KM in degrees."),
        ("search my.db dog --near 99,0", "A latitude is -90 to 90 degrees, a longitude -180 to 180."),
        ("search my.db dog --near 9,0,0", "0 km is no distance on Earth."),
    ],
)
def test_a_search_that_makes_no_sense_is_one_sentence(words, said, command, capsys):
    code, requests, _ = command(*words.split())
    assert code == 2 and not requests and capsys.readouterr().err == said + "\n"


# --- forms -------------------------------------------------------------------------------------------------------


def test_paths_are_for_other_programs(command, capsys):
    assert command("search", "my.db", "dog", "--paths")[0] == 0
    assert capsys.readouterr().out == "dog.jpg\nbark.wav\nwalk.mp4\n"
    assert command("search", "my.db", "dog", "-0")[0] == 0
    assert capsys.readouterr().out == "dog.jpg\0bark.wav\0walk.mp4\0"


def test_csv_has_a_row_for_each_hit(command, capsys):
    assert command("search", "my.db", "dog", "--csv", "-k", "2")[0] == 0
    assert capsys.readouterr().out == (
        "file,kind,start_s,end_s,fit,score,why,text\ndog.jpg,photo,0,0,0.9,0.42,,\nbark.wav,sound,0,10,0.7,0.31,,\n"
    )


def test_json_has_whole_paths(command, capsys):
    assert command("search", "my.db", "dog", "--json")[0] == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["result"] == "search" and plain["hits"][0]["file"] == "dog.jpg"


def test_a_contact_sheet_shows_what_can_be_seen_and_names_the_rest(command, folder, make_photo, capsys):
    make_photo(folder / "dog.jpg")
    assert command("search", "my.db", "dog", "--html", "sheet.html")[0] == 0
    page = (folder / "sheet.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 3 and page.count('src="data:image/jpeg;base64,') == 1
    assert "90% · photo<br>dog.jpg" in page and "70% · sound · 0-10 s<br>bark.wav" in page
    assert "http" not in page and "<script" not in page
    capsys.readouterr()
    assert command("search", "my.db", "dog", "--html", "both.html", "--json")[0] == 0
    assert len(json.loads(capsys.readouterr().out)["hits"]) == 3
    assert (folder / "both.html").read_text(encoding="utf-8") == page


# --- with a model and a collection --------------------------------------------------------------------------------


@pytest.fixture
def tiny() -> Callable[[Mapping[str, str], Settings], Host]:
    from engines.hosts.builtin import BuiltinHost
    from engines.model import checkpoint

    return lambda routes, settings: BuiltinHost(checkpoint.tiny(), cache_bytes=2**20)


def test_a_folder_is_indexed_filtered_moved_and_its_copies_are_found(tmp_path, make_photo, tiny, capsys, monkeypatch):
    """The tiny model has learnt nothing, so only which files are found counts, not in which order."""
    monkeypatch.chdir(tmp_path)
    for name, colour, taken, place in (
        ("old.jpg", 10, "2019:05:04 10:00:00", (48.8566, 2.3522)),
        ("new.jpg", 120, "2024:06:01 12:30:00", (53.5511, 9.9937)),
        ("copy.jpg", 120, "2024:06:01 12:30:00", (53.5511, 9.9937)),
    ):
        make_photo(tmp_path / "album" / name, colour=colour, taken=taken, place=place, camera=("Apple", "iPhone 15"))
    assert main(["index", "album", "album/album.db"], opener=tiny) == 0

    def found(*words: str) -> list[str]:
        capsys.readouterr()
        assert main(["search", "album/album.db", "dog", "--paths", *words], opener=tiny) == 0
        return sorted(Path(line).name for line in capsys.readouterr().out.splitlines())

    assert found() == ["copy.jpg", "new.jpg", "old.jpg"]
    assert found("--since", "2024-06") == ["copy.jpg", "new.jpg"] and found("--until", "2023") == ["old.jpg"]
    assert found("--near", "48.85,2.35") == ["old.jpg"] and found("--near", "48.85,2.35,1000") == found()
    assert found("--camera", "iphone", "--since", "2030") == [] and found("--camera", "pixel") == []
    assert main(["duplicates", "album/album.db", "-0"]) == 0
    assert "new.jpg" in {Path(line).name for line in capsys.readouterr().out.split("\0")}
    (tmp_path / "album").rename(tmp_path / "moved")
    assert main(["search", "moved/album.db", "dog", "--paths"], opener=tiny) == 0
    assert {Path(line).parent for line in capsys.readouterr().out.splitlines()} == {tmp_path / "moved"}
    assert main(["index", "moved", "moved/album.db"], opener=tiny) == 0
    assert capsys.readouterr().out == "0 added, 3 unchanged, 0 removed; 3 rows in all\n"


def test_a_mixed_query_takes_away_what_is_like_it(tmp_path):
    from engines.tasks import search

    class Space:
        """Three directions: words and photos of x, of y, and of both."""

        model_digest = "axes"

        def text_vector(self, text: str) -> np.ndarray:
            vector = np.array([float("x" in text), float("y" in text), 0.0], np.float32)
            return vector / np.linalg.norm(vector)

        def query_vector(self, text: str, kind: str) -> np.ndarray:
            return self.text_vector(text)

        def meaning(self, text: str) -> float:
            return 1.0

        def fit(self, score: float, query: str, row: str) -> float:
            return max(0.0, min(1.0, score))

    space = Space()
    with Collection(tmp_path / "my.db", model_digest="axes", create=True) as collection:
        for name in ("x", "y", "x and y"):
            row = Row(str(tmp_path / name), "photo", 0.0, 0.0, space.text_vector(name))
            collection.put(tmp_path / name, name, [row])

    def best(*terms: Term) -> list[str]:
        request = SearchRequest(query=terms, collection=tmp_path / "my.db", kinds=frozenset({"photo"}))
        *_, last = search.search(space, request)
        return [hit.path.name for hit in last.hits]

    assert best(Term("x")) == ["x", "x and y", "y"]
    assert best(Term("x"), Term("y")) == ["x and y", *best(Term("x"), Term("y"))[1:]]
    assert best(Term("x and y"), Term("y", -1.0))[0] == "x"


@pytest.mark.parametrize("version", [1, 2])
def test_a_collection_of_an_earlier_version_is_brought_up_to_date(tmp_path, version):
    file, path, vector = tmp_path / "my.db", tmp_path / "notes.txt", np.array([1.0, 0.0], np.float32)
    with Collection(file, model_digest="m", create=True) as collection:
        collection.put(path, "1", [Row(str(path), "text", 0.0, 0.0, vector, "Trains leave at nine.")])
    with sqlite3.connect(file) as db:
        db.execute("DROP TABLE words")
        db.execute("DROP INDEX rows_with_text")
        if version == 1:
            db.execute("DROP TABLE metadata")
            db.execute("UPDATE files SET path = ?", (str(path).encode(),))
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    for _ in range(2):
        with Collection(file, model_digest="m") as collection:
            assert collection.files() == {str(path)} and not collection.is_described(path)
            assert not collection.words_were_read(path)
            found = collection.with_words(("trains",), kinds=frozenset({"text"}), k=3)
            assert [row.path for row in found] == [str(path)]
    with Collection(file, model_digest="m") as collection:
        collection.describe(path, Metadata(camera="Pixel 8"))
        assert collection.search(vector, kinds=frozenset({"text"}), k=1, only=Filter(camera="pixel"))


def test_a_filter_needs_a_collection_in_a_file():
    with pytest.raises(RequestError, match="kept by collections in a file only"):
        LanceCollection.search(object(), np.ones(2), kinds=frozenset({"photo"}), k=1, only=Filter(since="2024"))


def test_what_photos_say_about_themselves_is_read(make_photo, tmp_path):
    from engines import media

    sydney = (-33.8568, 151.2153)
    path = make_photo(tmp_path / "a.jpg", taken="2024:06:01 12:30:00", place=sydney, camera=("Google", "Pixel 8"))
    assert media.load_metadata(path) == Metadata("2024-06-01T12:30:00", pytest.approx(-33.8568, abs=1e-4),
                                                 pytest.approx(151.2153, abs=1e-4), "Google Pixel 8")  # fmt: skip
    assert media.load_metadata(make_photo(tmp_path / "b.jpg")) == Metadata()
    (tmp_path / "c.jpg").write_bytes(b"no photo")
    assert media.load_metadata(tmp_path / "c.jpg") == Metadata()
