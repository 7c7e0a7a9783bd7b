"""What the page keeps, and shows of what it kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import gradio as gr
import pytest

from engines import CaptionRequest, CaptionResult, Router, SearchRequest, SearchResult, UserError
from engines.index.history import KINDS, Entry, History
from studio import addresses, cards, history_recorder, stream, views
from studio.history_recorder import HistoryRecorder
from studio.state import AppState
from studio.tabs import caption as caption_tab
from studio.tabs.history import entries
from studio.tabs.lab import ui as lab
from studio.tabs.panel import Panel
from tests.fake_host import FakeHost
from tests.studio.findings import finished

TODAY = date(2026, 11, 30)


@pytest.fixture
def history(tmp_path) -> History:
    return History(tmp_path / "history.sqlite")


def caption(path: Path) -> CaptionResult:
    return CaptionResult(request=CaptionRequest(media=path), text="A red square.", end="finished")


def search(words: str) -> SearchResult:
    return SearchResult(request=SearchRequest(query=words, collection=Path("a.sqlite")), end="finished")


def test_a_finished_run_is_kept_and_its_card_names_the_entry(state, photo_file):
    def view(_session: str, result: object) -> str:
        return views.result_card("done" if getattr(result, "end", None) else "busy", "a card")

    job = stream.Job("caption", lambda *_: (CaptionRequest(media=photo_file),), view)
    *growing, (last, _) = stream.answer(replace(state, host=Router({"": FakeHost()})), job, "me", "en", ())
    assert state.recorder.history is not None
    (entry,) = state.recorder.history.find()
    assert f'data-entry="{entry.id}"' in last and entry.about == photo_file.name and entry.has_thumbnail
    assert not any("data-entry" in shown for shown, _ in growing)


def test_a_visitor_has_no_history(visitor, photo_file):
    assert visitor.recorder.history is None
    assert visitor.recorder.record("me", caption(photo_file)) is None


def test_a_history_that_cannot_be_written_costs_no_result(tmp_path, photo_file):
    file = tmp_path / "history.sqlite"
    file.write_bytes(b"nothing of the kind " * 100)
    assert HistoryRecorder(History(file)).record("me", caption(photo_file)) is None


def test_a_text_being_typed_leaves_one_entry(history, monkeypatch):
    keeping, now_s = HistoryRecorder(history), 100.0
    monkeypatch.setattr(history_recorder.time, "monotonic", lambda: now_s)
    for words in ("a", "a d", "a dog"):
        keeping.record("me", search(words), is_typed=True)
        now_s += 1.0
    now_s += history_recorder.TYPED_S
    keeping.record("me", search("rain"), is_typed=True)
    keeping.record("you", search("snow"), is_typed=True)
    assert {entry.about for entry in history.find()} == {"a dog", "rain", "snow"}


def test_rows_stand_under_their_day_with_name_time_and_text():
    found = [
        Entry(3, "2026-11-30T09:05:00", "ask", "dog <1>.jpg: What?", "/p", "A dog.", True),
        Entry(2, "2026-11-29T23:59:00", "caption", "cat.jpg", "/p", "A cat.", False),
        Entry(1, "2026-01-02T03:04:00", "translate", "Good", "", "Gut", False),
    ]
    card = entries(found, at_most=100, today=TODAY)
    for part in (
        "Today",
        "昨天",
        "2026-01-02",
        "dog &lt;1&gt;.jpg: What?",
        "A dog.",
        "Answer",
        "09:05",
        "history/3/thumb",
    ):
        assert part in card
    assert 'data-open="2"' in card and 'data-delete="1"' in card and "history/2/thumb" not in card
    assert "newest" not in card and "The newest 3 results" in entries(found, at_most=3, today=TODAY)


def test_an_empty_list_says_why():
    assert "Nothing is here yet" in entries([], at_most=9, today=TODAY)
    assert "No kept result has all these words" in entries([], words="dog", at_most=9, today=TODAY)
    assert "The history is off" in entries([], is_on=False, at_most=9, today=TODAY)


def test_every_kept_kind_of_result_has_a_tab_and_a_card(state):
    assert set(addresses.TAB_OF) == set(KINDS)
    assert "A red square." in cards.card(state, caption(Path("gone.jpg")))


@pytest.mark.parametrize("entry", ["99", "1; DROP TABLE entries", "", "²"])
def test_an_address_of_no_result_is_one_sentence(state, entry):
    with pytest.raises(UserError, match="no longer in the history"):
        addresses.open_result(state, _caption_tab(state), "me", entry)


def _caption_tab(state: AppState) -> Panel:
    with gr.Blocks():
        return caption_tab.create_ui(state)


@pytest.mark.usefixtures("uploads_of_the_tests")
def test_a_result_opens_with_its_file_if_it_is_there(state, photo_file):
    panel = _caption_tab(state)
    there = state.recorder.record("me", caption(photo_file))
    gone = state.recorder.record("me", caption(Path("/nowhere/gone.jpg")))
    shown = addresses.open_result(state, panel, "me", str(there))
    assert "A red square." in shown[panel.result] and f'data-entry="{there}"' in shown[panel.result]
    assert Path(shown[panel.media.parts["photo"]]["value"]).name == photo_file.name
    shown = addresses.open_result(state, panel, "me", str(gone))
    assert "A red square." in shown[panel.result] and panel.media.parts["photo"] not in shown


# --- runs of the Lab -------------------------------------------------------------------------------------------------


def _lab(state: AppState) -> lab.Lab:
    with gr.Blocks():
        return lab.create_ui(state)


def test_a_finished_run_of_the_lab_is_kept_with_its_settings_and_without_its_weights(state):
    assert state.recorder.record_run(replace(finished(), end="cancelled")) is None
    entry_id = state.recorder.record_run(finished())
    (entry,) = state.recorder.history.find("attention 93.0")
    assert (entry.id, entry.task) == (entry_id, "lab")
    assert entry.about == "fusion: operator picture sound attention, n_steps 40, seed 7"
    assert entry.text == "picture 90.0 %, sound 50.0 %, attention 93.0 %"
    row = entries([entry], at_most=9, today=TODAY)
    assert "Fusion" in row and "融合" in row and "n_steps 40" in row and f'data-open="{entry_id}"' in row
    told, file = state.recorder.history.run(entry_id)
    assert told["experiment"] == "fusion" and told["request"]["seed"] == 7
    assert b"weight/" not in file


def test_a_kept_run_of_the_lab_opens_with_its_settings_and_is_not_run(state):
    tab, entry = _lab(state), str(state.recorder.record_run(finished()))
    panel = tab.panels["fusion"]
    shown = lab.open_kept(state, tab, entry, is_filled=True)
    assert shown[tab.which] == "fusion" and shown[panel.parts["seed"]]["value"] == 7
    assert f'data-entry="{entry}"' in shown[panel.result] and "by 3.0 points" in shown[panel.result]
    assert ".csv" in shown[panel.result] and "/run/" in shown[panel.result] and ".run" not in shown[panel.result]
    assert panel.parts["seed"] not in lab.open_kept(state, tab, entry, is_filled=False)
    assert set(shown) <= set(tab.opening)
    caption_entry = str(state.recorder.record("me", caption(Path("/nowhere/gone.jpg"))))
    for gone in ("99", "", "²", caption_entry):
        with pytest.raises(UserError, match="no longer in the history"):
            lab.open_kept(state, tab, gone, is_filled=True)


def test_a_visitors_run_of_the_lab_is_not_kept(visitor):
    assert visitor.recorder.record_run(finished()) is None
    with pytest.raises(UserError, match="no longer in the history"):
        lab.open_kept(visitor, _lab(visitor), "1", is_filled=True)
