from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from engines import IndexRequest, IndexResult, RequestError, SearchRequest
from studio import components
from studio.collections import CollectionRef
from studio.components import MediaInput
from studio.tabs import search
from tests.fake_host import FakeHost

BOOK = CollectionRef("samples", Path("samples"), Path("samples.sqlite"))


@pytest.fixture
def media() -> MediaInput:
    with gr.Blocks():
        return components.media_input("search", ("text", "photo", "sound", "clip"), text_key="ui.search.text")


def test_a_collection_is_brought_up_to_date_before_its_first_search(media: MediaInput) -> None:
    index, find = search.build(media, BOOK, "text", "a dog", None, None, None, ["photo"], 4, is_fresh=False)
    assert index == IndexRequest(folder=BOOK.folder, collection=BOOK.file)
    assert find == SearchRequest(query="a dog", collection=BOOK.file, kinds=frozenset({"photo"}), k=4)


def test_a_fresh_collection_is_only_searched(media: MediaInput) -> None:
    (find,) = search.build(media, BOOK, "photo", "", "dog.jpg", None, None, ["photo", "clip"], 12, is_fresh=True)
    assert isinstance(find, SearchRequest)
    assert find.query == Path("dog.jpg")


def test_a_collection_is_fresh_once_it_was_made_and_no_longer_when_another_model_searches() -> None:
    fresh, info = search.IndexedBy(), FakeHost().info
    assert not fresh.holds(BOOK, info)
    request = IndexRequest(folder=BOOK.folder, collection=BOOK.file)
    fresh.note(IndexResult(request=request, model_digest=info.model_digest, end="cancelled"))
    assert not fresh.holds(BOOK, info)
    fresh.note(IndexResult(request=request, model_digest=info.model_digest, end="finished"))
    assert fresh.holds(BOOK, info)
    other = replace(info, model_digest="another")
    assert not fresh.holds(BOOK, other)
    fresh.note(IndexResult(request=request, model_digest="another", end="finished"))
    assert fresh.holds(BOOK, other)
    assert not fresh.holds(BOOK, info)


@pytest.mark.parametrize(
    ("text", "kinds", "sentence"), [("", ["photo"], "Type what to look for"), ("dog", [], "at least one kind")]
)
def test_what_is_missing_for_a_search_is_said(media: MediaInput, text: str, kinds: list[str], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        search.build(media, BOOK, "text", text, None, None, None, kinds, 4, is_fresh=True)
