from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from engines import RequestError
from engines.background import FairQueue
from engines.lab import EXPERIMENTS, DatasetRecord, Findings, FusionRequest, Table, runs
from engines.lab.data import datasets
from studio.app import open_state
from studio.state import AppState
from studio.tabs.lab import ui as lab
from studio.tabs.lab.form import FOLDER
from studio.tabs.lab.ui import Frames, Lab, Panel, form
from tests.fake_host import FakeHost
from tests.studio.findings import Script, finished

ROOT = Path(lab.__file__).parents[2]
WAIT_S = 120.0
"""How long a busy machine may take for anything; nothing is asserted about it."""

MATERIAL = object()
"""What stands here for material: nothing looks into it."""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    script = Script()
    monkeypatch.setattr(lab, "experiment", script)
    monkeypatch.setattr(datasets, "from_folder", lambda folder, cancel=None: MATERIAL)
    return script


@pytest.fixture
def line() -> FairQueue:
    return FairQueue()


def laid_out(state: AppState) -> Lab:
    with gr.Blocks():
        return lab.create_ui(state)


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    state = open_state(FakeHost(), home=tmp_path_factory.mktemp("home"), devices=("cpu",))
    return laid_out(state).panels["fusion"]


def values_of(panel: Panel, **changes: object) -> list[Any]:
    """What the widgets of a panel say, untouched unless told otherwise."""
    return list(({name: part.value for name, part in panel.parts.items()} | changes).values())


class Page:
    """Follows frames in a thread of its own, as a page does."""

    def __init__(self, frames: Frames) -> None:
        self.seen: list[tuple[str, bool]] = []
        self._new = threading.Condition()
        self._thread = threading.Thread(target=self._follow, args=(frames,), daemon=True)
        self._thread.start()

    def _follow(self, frames: Frames) -> None:
        for frame in frames:
            with self._new:
                self.seen.append(frame)
                self._new.notify_all()

    def until(self, text: str) -> None:
        """Wait until this is on the page."""
        with self._new:
            assert self._new.wait_for(lambda: text in self.seen[-1][0] if self.seen else False, WAIT_S), self.seen

    def last(self) -> str:
        """What is on the page once it is over."""
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        shown, goes_on = self.seen[-1]
        assert not goes_on and all(on for _, on in self.seen[:-1])
        return shown


# --- the tab ----------------------------------------------------------------------------------------------------------


def test_every_experiment_has_a_panel_and_one_is_seen_at_once(state):
    tab = laid_out(state)
    assert list(tab.frames) == [*EXPERIMENTS, *lab.OTHERS] == [value for _, value in tab.which.choices]
    assert [name for name, frame in tab.frames.items() if frame.visible] == [lab.FIRST]
    shown = {name for name, frame in tab.frames.items() if tab.turn("maml")[frame]["visible"]}
    assert shown == {"maml"}


def test_the_owner_may_learn_from_a_folder_and_a_visitor_may_not(state, visitor):
    assert all(FOLDER in panel.parts for panel in laid_out(state).panels.values())
    panels = laid_out(visitor).panels
    assert all(FOLDER not in panel.parts for panel in panels.values())
    assert [value for _, value in panels["maml"].parts[lab.WHERE].choices] == ["characters", "digits"]
    assert lab.WHERE not in panels["fusion"].parts


@pytest.mark.slow
def test_the_page_is_laid_out_without_loading_torch():
    program = (
        "import studio.app, studio.tabs.lab.lessons as lessons, sys; lessons.lesson('fusion', 'en'); "
        "print('torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"


# --- a run ------------------------------------------------------------------------------------------------------------


def test_a_run_is_watched_from_its_first_sign_to_its_end_and_can_be_saved(state, panel, line, script):
    frames = lab.run_experiment(state, line, panel, "me", values_of(panel, seed=5, operator=["picture", "sum"]))
    assert "Preparing" in next(frames)[0]
    page = Page(frames)
    page.until("step 40 of 120")
    script.may_end.set()
    shown = page.last()
    assert "is-done" in shown
    assert script.asked == [(FusionRequest(operator=("picture", "sum"), n_steps=100, seed=5), None)]
    (name,) = set(re.findall(r"studio/run/([\w-]+)\.", shown))
    kept = state.runs.get(name)
    assert kept is not None and kept.request.seed == 5
    assert not state.running.is_busy("me", panel.tab)


def test_what_cannot_be_run_is_one_sentence_and_nothing_starts(state, panel, line, script):
    *_, (shown, goes_on) = lab.run_experiment(state, line, panel, "me", values_of(panel, operator=[]))
    assert "is-error" in shown and "Ways of fusion" in shown and not goes_on
    assert script.asked == []


@pytest.mark.parametrize(
    ("error", "sentence"),
    [(RequestError("test", "It has no sounds."), "It has no sounds."), (ValueError("x"), "not your fault")],
)
def test_what_goes_wrong_is_one_sentence_and_the_next_run_goes(state, panel, line, script, error, sentence):
    script.error = error
    assert sentence in Page(lab.run_experiment(state, line, panel, "me", values_of(panel))).last()
    script.error = None
    script.may_end.set()
    assert "is-done" in Page(lab.run_experiment(state, line, panel, "me", values_of(panel))).last()


# --- two at once ------------------------------------------------------------------------------------------------------


# --- from a folder ----------------------------------------------------------------------------------------------------


def test_a_folder_of_ones_own_is_learnt_from(state, panel, line, script, tmp_path):
    script.may_end.set()
    Page(lab.run_experiment(state, line, panel, "me", values_of(panel, where=FOLDER, folder=str(tmp_path)))).last()
    assert script.asked[0][1] is MATERIAL


def test_a_folder_that_is_not_there_is_one_sentence(state, panel, line, script):
    *_, (shown, _) = lab.run_experiment(state, line, panel, "me", values_of(panel, where=FOLDER, folder="/no/such"))
    assert "There is no such folder" in shown and script.asked == []


def test_a_visitor_who_forges_a_folder_learns_nothing(visitor, line, script):
    panel = laid_out(visitor).panels["maml"]
    *_, (shown, _) = lab.run_experiment(visitor, line, panel, "me", values_of(panel, where=FOLDER))
    assert "is-error" in shown and script.asked == []


# --- opened again -----------------------------------------------------------------------------------------------------


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], list[Any]]:
    """Lets measuring again give some tables, or raise; what it was given is listed."""

    def give(what: object) -> list[Any]:
        given: list[Any] = []

        def again(found: Findings, own: Any = None) -> tuple[Table, ...]:
            given.append(own)
            if isinstance(what, Exception):
                raise what
            return what  # type: ignore[return-value]

        monkeypatch.setattr(runs, "measure_again", again)
        return given

    return give


def test_an_opened_run_is_seen_at_once_then_measured_again(state, panel, line, measured):
    found = finished()
    assert measured(found.tables[:1]) == []
    frames = lab.reopen(state, line, panel, "me", found, "")
    shown, goes_on = next(frames)
    assert goes_on and "measuring it again" in shown and "attention" in shown
    last = Page(frames).last()
    assert "the same numbers" in last
    (name,) = set(re.findall(r"studio/run/([\w-]+)\.", last))
    assert state.runs.get(name) is found


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ((replace(finished().tables[0], rows=(("picture", 0.1, None, 0.9, 1000),)),), "90.0% → 10.0%"),
        (RequestError("test", "It learnt from another folder."), "It learnt from another folder."),
    ],
)
def test_what_is_no_longer_so_is_said_beside_what_was_kept(state, panel, line, measured, what, sentence):
    measured(what)
    last = Page(lab.reopen(state, line, panel, "me", finished(), "")).last()
    assert sentence in last and "is-done" in last and "3.0" in last


def test_a_run_from_a_folder_is_measured_on_that_folder(state, panel, line, script, measured, tmp_path):
    own = replace(finished(), data=DatasetRecord("pets", "1" * 64, ("cat/a.jpg",)))
    given = measured(own.tables[:1])
    Page(lab.reopen(state, line, panel, "me", own, str(tmp_path))).last()
    Page(lab.reopen(state, line, panel, "me", finished(), str(tmp_path))).last()
    Page(lab.reopen(state, line, panel, "me", own, "")).last()
    assert given == [MATERIAL, None, None]


def test_the_dials_turn_to_what_an_opened_run_was_asked(panel):
    updates = panel.show(finished())
    assert updates[panel.parts["seed"]]["value"] == 7
    assert updates[panel.parts["operator"]]["value"] == ["picture", "sound", "attention"]
    assert updates[panel.parts[lab.WHERE]] == form.DIGITS
    own = panel.show(replace(finished(), data=DatasetRecord("pets", "1" * 64, ())))
    assert own[panel.parts[lab.WHERE]] == FOLDER and own[panel.parts[FOLDER]]["visible"]
