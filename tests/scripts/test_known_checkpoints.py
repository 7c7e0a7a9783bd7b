"""The table of known checkpoints is counted, not typed."""

from __future__ import annotations

import pytest

from engines.hosts.router import parse_routes
from scripts import known_checkpoints as known
from scripts.known_checkpoints import KNOWN, TABS, main, table

FEW = [one for one in KNOWN if one.name in ("openai/whisper-base", "google/gemma-3-4b-it")]


def test_parameters_are_those_that_were_published():
    """Radford et al. 2022, table 1: 74 M; the card of Gemma 3: 4 B and a picture tower."""
    counted = {one.name: one.n_parameters() for one in FEW}
    assert counted["openai/whisper-base"] == pytest.approx(74e6, rel=0.03)
    assert counted["google/gemma-3-4b-it"] == pytest.approx(4.3e9, rel=0.01)


def test_every_line_to_type_is_understood():
    for one in KNOWN:
        assert set(one.tabs) <= TABS["en"].keys() == TABS["zh"].keys()
        assert parse_routes([one.line.removeprefix("--model ")])[one.task] == one.name


@pytest.mark.parametrize("language", TABS)
def test_a_row_holds_memory_with_room_to_work(language):
    head, _, base, gemma = table(language, FEW).splitlines()
    assert base.count("|") == gemma.count("|") == head.count("|")
    assert "| 0.2 GB | 0.1 GB |" in base and "| 4.32 B | 10.4 GB | 5.2 GB |" in gemma


def test_the_table_is_put_between_the_marks(tmp_path, monkeypatch):
    monkeypatch.setattr(known, "table", lambda language: f"table in {language}")
    file = tmp_path / "README.md"
    file.write_text("a\n<!-- known zh -->\nold\n<!-- end known -->\nb\n", encoding="utf-8")
    main([str(file)])
    assert file.read_text(encoding="utf-8") == "a\n<!-- known zh -->\ntable in zh\n<!-- end known -->\nb\n"


def test_without_files_it_is_printed(capsys, monkeypatch):
    monkeypatch.setattr(known, "table", lambda language: f"table in {language}")
    main([])
    assert capsys.readouterr().out == "table in en\n"
