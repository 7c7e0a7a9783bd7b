from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from engines.lab.fewshot import MAX_LABELS
from studio import stream
from studio.tabs.teach import ui as teach
from studio.tabs.teach.ui import NEW, Teach
from tests.conftest import write_photo
from tests.studio import conftest
from tests.studio.conftest import CHINESE, Opened

pytestmark = pytest.mark.usefixtures("plain_head")


@pytest.fixture
def opened(state) -> Opened:
    return Opened(state, teach)


@pytest.fixture
def upload(photo, tmp_path) -> str:
    """A photo as gradio keeps it after it was uploaded."""
    return conftest.upload(write_photo(tmp_path / "red.png", photo))


def visible(updates: dict[Any, Any], page: Teach) -> int:
    """How many rows are seen."""
    return sum(updates[row.frame]["visible"] for row in page.rows)


# --- the rows ------------------------------------------------------------------------------------------------------


def test_two_rows_are_seen_at_first_and_more_as_they_are_asked_for(opened):
    assert [row.frame.visible for row in opened.page.rows] == [True, True] + [False] * (MAX_LABELS - 2)
    updates = opened("add", "cat", "dog", *[""] * 8)
    assert visible(updates, opened.page) == 3
    assert updates[opened.page.rows[1].label] == "dog"
    for _ in range(MAX_LABELS):
        updates = opened("add", *[""] * MAX_LABELS)
    assert visible(updates, opened.page) == MAX_LABELS
    assert not updates[opened.page.more]["interactive"]


def test_a_file_that_was_not_uploaded_is_refused_in_a_sentence(opened):
    with pytest.raises(gr.Error, match="was not uploaded here"):
        opened("bring", files=["/etc/passwd"], given=1)
    assert opened.state.label_store.draft("me").row(0) == ()


def test_files_that_did_not_come_are_counted_where_they_were_dropped(opened, upload):
    assert "5 left out" in opened("bring", n=0, files=[upload], given=6)
    opened("bring", n=1, files=[upload], given=1)
    opened("act_teach", "Pets", "cat", "dog", *[""] * 8)
    assert "24 files were left out" in opened("act_name", files=[upload], given=25)[-1][opened.page.result]


def test_the_example_fills_free_rows_and_nothing_that_is_there(opened, upload):
    opened("bring", n=0, files=[upload], given=1)
    updates = opened("fill", "Mine", "mugs", *[""] * 9)
    draft = opened.state.label_store.draft("me")
    assert [file.path.name for n in range(4) for file in draft.row(n)] == ["red.png", *teach.EXAMPLE]
    assert [updates[row.label] for row in opened.page.rows[:5]] == ["mugs", "dog", "horses", "coffee", ""]
    assert updates[opened.page.name] == "Mine"
    assert visible(updates, opened.page) == 4


# --- runs ----------------------------------------------------------------------------------------------------------


def test_a_run_shows_its_stop_until_it_ends_and_then_what_sets_there_are(opened):
    page = opened.page
    first, _ = page.show_frames(iter([("goes on", True), ("over", False)]), opened.state, "me", page.stop)
    *_, end = opened("act_teach", "Pets", *[""] * MAX_LABELS)
    assert (first[page.stop]["visible"], first[page.halt]["visible"], first[page.run]["interactive"]) == (
        True,
        False,
        False,
    )
    assert page.sets not in first
    assert (end[page.stop]["visible"], end[page.run]["interactive"], end[page.sets]) == (False, True, "")


def test_naming_has_a_stop_of_its_own_and_teaching_stays_possible(opened, upload):
    page = opened.page
    first, _ = page.show_frames(iter([("goes on", True), ("over", False)]), opened.state, "me", page.halt)
    *_, end = opened("act_name", files=[upload], given=1)
    assert (first[page.stop]["visible"], first[page.halt]["visible"], first[page.run]["interactive"]) == (
        False,
        True,
        True,
    )
    assert "Teach a label set first" in end[page.result]
    assert not end[page.asking]["visible"]


def test_what_the_camera_took_goes_to_the_label_it_is_for_or_is_named(opened, upload):
    page = opened.page
    (updates,) = opened("act_record", "2", {"path": upload}, None)
    assert "red.png" in updates[page.rows[1].tiles]
    assert updates[page.camera] is None  # ready for the next
    *_, end = opened("act_record", NEW, {"path": upload}, None)
    assert "Teach a label set first" in end[page.result]
    assert page.result not in opened("act_record", "1", None, None)[0]


def test_a_burst_goes_to_the_label_it_is_for_or_is_named_and_what_is_lost_of_it_is_told(opened, upload):
    page = opened.page
    (updates,) = opened("act_burst", "2", files=[upload], given=8)
    assert updates[page.rows[1].tiles].count("<figure") == 1 and "7 left out" in updates[page.rows[1].tiles]
    *_, end = opened("act_burst", NEW, files=[upload], given=1)
    assert "Teach a label set first" in end[page.result]


# --- the sets ------------------------------------------------------------------------------------------------------


def test_opening_over_what_is_in_no_set_is_asked_first(opened, upload, photo):
    page = opened.page
    for n in (0, 1):
        opened("bring", n=n, files=[upload], given=1)
    opened("act_teach", "Pets", "cat", "dog", *[""] * 8)
    loose = write_photo(Path(upload).with_name("loose.png"), photo)
    opened("bring", n=0, files=[str(loose)], given=1)
    asked = opened("act", act="open", name="Pets", to="")
    assert set(asked) == {page.sets} and 'data-state="open"' in asked[page.sets]
    opened("act", act="replace", name="Pets", to="")
    assert [file.path.name for file in opened.state.label_store.draft("me").row(0)] == ["red.png"]


@pytest.mark.parametrize(
    ("act", "to", "sentence"),
    [("open", "", "No label set is called"), ("rename", "Other", "No label set"), ("delete", "", "No label set")],
)
def test_a_set_that_is_gone_is_one_sentence(opened, act, to, sentence):
    with pytest.raises(gr.Error, match=sentence):
        opened("act", act=act, name="Gone", to=to)


def test_what_goes_wrong_is_told_in_the_language_of_the_page(state):
    with pytest.raises(gr.Error, match="重新拖入"), stream.toast(CHINESE):
        teach.uploaded_files(state, SimpleNamespace(files=["/etc/passwd"], given=1))


def test_without_samples_there_is_no_example_to_fill_in(state):
    assert Opened(state, teach).page.example.visible
    assert not Opened(replace(state, samples=()), teach).page.example.visible
