"""`fusion-studio history`: what the page has answered, on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines.cli import main
from engines.index.history import History, history_file
from engines.protocol import CaptionRequest, CaptionResult, TranslateRequest, TranslateResult


@pytest.fixture
def history(tmp_path, monkeypatch) -> History:
    """A caption, 1, and a translation, 2."""
    monkeypatch.setenv("FUSION_STUDIO_HOME", str(tmp_path))
    kept = History(history_file(tmp_path))
    kept.add(CaptionResult(request=CaptionRequest(media=Path("/p/dog.jpg")), text="A dog runs.", end="finished"))
    translation = TranslateRequest(text="Good morning.", source="en", target="de")
    kept.add(TranslateResult(request=translation, text="Guten Morgen.", end="finished"))
    return kept


def said(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """The lines of a command that ends well."""
    assert main(["history", *words]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("history")
def test_results_are_listed_searched_and_shown(capsys):
    newest, oldest = said(capsys)
    assert newest.startswith("2\t") and "translate\tGood morning.\tGuten Morgen." in newest
    assert oldest.startswith("1\t") and "caption\tdog.jpg\tA dog runs." in oldest
    assert said(capsys, "--most", "1") == [newest]
    assert said(capsys, "search", "dog", "runs") == [oldest]
    head, text = said(capsys, "show", "1")
    assert "dog.jpg" in head and text == "A dog runs."


@pytest.mark.usefixtures("history")
def test_results_are_exported_whole_the_oldest_first(capsys):
    first, second = map(json.loads, said(capsys, "export"))
    assert (first["id"], first["result"], first["request"]["media"]) == (1, "caption", "/p/dog.jpg")
    assert second["text"] == "Guten Morgen."
    assert [json.loads(line) for line in said(capsys, "export", "2")] == [second]
    assert [json.loads(line) for line in said(capsys, "show", "2", "--json")] == [second]


def test_a_run_of_the_lab_is_exported_among_the_results(history, capsys):
    history.add_run("fusion: seed 7", "picture 90.0 %", {"result": "lab", "experiment": "fusion"}, b"file")
    last = json.loads(said(capsys, "export")[-1])
    assert last["about"] == "fusion: seed 7" and (last["result"], last["experiment"]) == ("lab", "fusion")
    assert "file" not in last


def test_results_are_deleted_one_by_one_or_all(history, capsys):
    assert said(capsys, "delete", "1") == []
    assert [entry.id for entry in history.find()] == [2]
    assert said(capsys, "clear") == ["1 result deleted"]
    assert history.find() == []


def test_it_is_turned_off_and_on(history, capsys):
    assert said(capsys, "off") == ["the history is off"]
    assert not history.is_on
    assert said(capsys, "on") == ["the history is on"]
    assert history.is_on


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["show"], 2, "needs the id of a result"),
        (["delete", "two"], 2, "'two' is no id"),
        (["show", "7"], 1, "no longer in the history"),
        (["delete", "7"], 1, "no longer in the history"),
        (["clear", "1"], 2, "takes no words"),
    ],
)
def test_a_mistake_is_one_sentence_and_deletes_nothing(words, code, sentence, history, capsys):
    assert main(["history", *words]) == code
    assert sentence in capsys.readouterr().err
    assert len(history.find()) == 2
