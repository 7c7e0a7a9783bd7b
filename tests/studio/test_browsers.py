"""What a person has given a page, when it is loaded anew."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from studio import app
from studio.app import open_state
from studio.state import AppState
from studio.uploads import KEEP_S
from tests.fake_host import FakeHost

MINE, YOURS = "a" * 32, "b" * 32


@pytest.fixture
def shared(tmp_path) -> AppState:
    """A page that others can reach."""
    return open_state(FakeHost(), shared=True, home=tmp_path / "home", devices=("cpu",))


def test_uploads_are_there_when_the_page_is_loaded_anew_and_gone_after_their_hour(shared, photo_file):
    shared.browsers.come("before", MINE)
    collection = shared.collections.uploads("before", [photo_file])
    app._leave(shared)(SimpleNamespace(session_hash="before"))
    shared.browsers.come("after", MINE)
    assert [file.name for file in shared.collections.uploaded("after")] == [photo_file.name]
    assert shared.collections.uploads("after", []) == collection
    shared.collections.delete_old_uploads(now_s=time.time() + KEEP_S + 1)
    assert shared.collections.uploaded("after") == [] == shared.collections.uploaded("before")


@pytest.mark.parametrize("claimed", [YOURS, "", "before", MINE.upper(), MINE[:-1], f"{MINE} "])
def test_what_one_visitor_gave_is_never_anothers_whatever_is_claimed(shared, photo_file, claimed):
    shared.browsers.come("before", MINE)
    shared.collections.uploads("before", [photo_file])
    shared.label_store.draft("before").name = "Pets"
    shared.browsers.come("another", claimed)
    assert shared.collections.uploaded("another") == []
    assert shared.label_store.draft("another").name == ""


def test_a_page_whose_tab_is_not_known_keeps_its_own(shared, photo_file):
    shared.collections.uploads("before", [photo_file])
    shared.browsers.come("another", "before")  # a session is no tab's id
    assert shared.collections.uploaded("another") == []
    assert [file.name for file in shared.collections.uploaded("before")] == [photo_file.name]


@pytest.mark.parametrize("is_loaded_anew", [True, False])
def test_a_visitors_label_sets_go_with_the_last_page_of_the_tab(shared, monkeypatch, is_loaded_anew):
    begun: list[threading.Timer] = []
    monkeypatch.setattr(threading.Timer, "start", lambda timer: begun.append(timer))
    forgotten: list[str] = []
    monkeypatch.setattr(type(shared.label_store), "forget", lambda _store, session: forgotten.append(session))
    shared.browsers.come("before", MINE)
    app._leave(shared)(SimpleNamespace(session_hash="before"))
    if is_loaded_anew:
        shared.browsers.come("after", MINE)
    shared.browsers.come("another", YOURS)
    (later,) = begun
    later.function(*later.args)
    assert forgotten == ([] if is_loaded_anew else ["before"])
