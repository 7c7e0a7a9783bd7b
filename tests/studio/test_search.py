import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from engines import IndexRequest, IndexResult, MapPoint, MapRequest, MapResult, MediaError, RequestError, SearchRequest
from studio.app import build
from studio.collections import CollectionRef
from studio.components import MediaInput
from studio.state import AppState
from studio.tabs.search import ui as search
from studio.tabs.search.map import MapWiring
from tests.fake_host import FakeHost
from tests.studio.conftest import media_input

COLLECTION = CollectionRef("samples", Path("samples"), Path("samples.sqlite"))


@pytest.fixture
def media() -> MediaInput:
    return media_input("search", "text", "photo", "sound", "clip")


def test_a_collection_is_brought_up_to_date_before_its_first_search(media):
    index, find = search.build(media, COLLECTION, "text", "a dog", None, None, None, ["photo"], 4, is_fresh=False)
    assert index == IndexRequest(folder=COLLECTION.folder, collection=COLLECTION.file)
    assert find == SearchRequest(query="a dog", collection=COLLECTION.file, kinds=frozenset({"photo"}), k=4)


def test_a_fresh_collection_is_only_searched(media):
    (find,) = search.build(media, COLLECTION, "photo", "", "dog.jpg", None, None, ["photo", "clip"], 12, is_fresh=True)
    assert isinstance(find, SearchRequest)
    assert find.query == Path("dog.jpg")


def test_a_collection_is_fresh_once_it_was_made_and_no_longer_when_another_model_searches():
    fresh, info = search.IndexedBy(), FakeHost().info
    assert not fresh.holds(COLLECTION, info)
    request = IndexRequest(folder=COLLECTION.folder, collection=COLLECTION.file)
    fresh.note(IndexResult(request=request, model_digest=info.model_digest, end="cancelled"))
    assert not fresh.holds(COLLECTION, info)
    fresh.note(IndexResult(request=request, model_digest=info.model_digest, end="finished"))
    assert fresh.holds(COLLECTION, info)
    other = replace(info, model_digest="another")
    assert not fresh.holds(COLLECTION, other)
    fresh.note(IndexResult(request=request, model_digest="another", end="finished"))
    assert fresh.holds(COLLECTION, other)
    assert not fresh.holds(COLLECTION, info)


@pytest.mark.parametrize(
    ("text", "kinds", "sentence"), [("", ["photo"], "Type what to look for"), ("dog", [], "at least one kind")]
)
def test_what_is_missing_for_a_search_is_said(media, text, kinds, sentence):
    with pytest.raises(RequestError, match=sentence):
        search.build(media, COLLECTION, "text", text, None, None, None, kinds, 4, is_fresh=True)


# --- as one types ----------------------------------------------------------------------------------------------------


def typed(state: AppState, text: str, place: str = "samples") -> list[str]:
    """The cards that the page shows after a key was pressed in the search box."""
    page = build(state.host, state=state)
    (event,) = [fn for fn in page.fns.values() if getattr(fn.fn, "__name__", "") == "search_typed"]
    request = gr.Request()
    request.session_hash = "me"
    request.request = SimpleNamespace(cookies={}, headers={}, query_params={})
    values = ("text", text, None, None, None, ["photo", "sound", "clip"], 12, place, None)
    assert event.fn is not None
    updates = list(event.fn(request, *values))
    assert updates  # where nothing is yielded gradio empties the outputs
    cards = [update[card] for update in updates for card in update if card.elem_id == "search-result"]
    return [card for card in cards if card != gr.skip()]


def test_a_key_searches_the_samples_once_they_are_indexed_and_an_empty_box_brings_them_back(state, host):
    assert typed(state, "a dog") == [] and host.requests == []
    collection = state.collections.samples(host.info.model_digest)
    collection.file.write_bytes(b"indexed before")
    (found,) = typed(state, "a dog")
    assert "dog.jpg" in found and "is-done" in found
    assert isinstance(host.requests[-1], SearchRequest) and host.requests[-1].query == "a dog"
    (wall,) = typed(state, " ")
    assert "samples to search" in wall


@pytest.mark.parametrize("place", ["uploads", "folder"])
def test_no_key_searches_what_would_have_to_be_read_first(state, host, place):
    assert typed(state, "a dog", place) == [] and host.requests == []


# --- a text of a map -------------------------------------------------------------------------------------------------


def map_of(path: Path, media: MediaInput) -> tuple[MapWiring, MapResult]:
    """The wiring of a map, as far as a text of it is shown, and a map of one text."""
    wiring = MapWiring(None, SimpleNamespace(media=media), *[None] * 5)
    point = MapPoint(path, "text", 0.0, 0.0, 0, "")
    return wiring, MapResult(request=MapRequest(collection=COLLECTION.file), points=(point,), end="finished")


def test_a_text_of_a_map_is_read_in_its_own_encoding(media, tmp_path):
    words = "A dog on the beach runs after a ball. " * 60
    (tmp_path / "notes.txt").write_text(words, encoding="utf-16")
    wiring, drawn = map_of(tmp_path / "notes.txt", media)
    assert wiring.input_of(drawn, 0)[media.parts["text"]]["value"] == words[:500]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_the_place_of_a_text_of_a_map_is_told_in_a_sentence(media, tmp_path):
    os.mkfifo(tmp_path / "notes.txt")
    wiring, drawn = map_of(tmp_path / "notes.txt", media)
    with pytest.raises(MediaError, match=r"notes\.txt"):
        wiring.input_of(drawn, 0)
