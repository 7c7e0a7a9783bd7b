"""The command: one table, one file, pieces that add up, and a failure that costs only itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from engines.evaluation.__main__ import main
from engines.protocol import Host, Request, Result, TranslateRequest
from engines.settings import Settings
from tests.fake_host import FakeHost


def run_main(host: FakeHost, *arguments: str) -> int:
    opened: list[FakeHost] = [host]

    def opener(name: str, settings: Settings) -> Host:
        return opened.pop() if opened else FakeHost()

    return main(arguments, opener)


def broken(request: Request) -> Iterator[Result]:
    raise ZeroDivisionError("a defect")
    yield  # pragma: no cover


def test_the_table_is_printed_and_the_file_holds_the_same_rows(oracle, tiny, tmp_path, capsys):
    out = tmp_path / "evaluation.json"
    code = run_main(oracle, "--data", str(tiny), "--split", "dev", "--out", str(out), "--only", "sound,translation")
    assert code == 0
    assert oracle.closed
    content = json.loads(out.read_text(encoding="utf-8"))
    assert content["sound.esc10.accuracy"]["value"] == 100.0
    assert content["translation.en_fr.bleu"] == {
        "value": None,
        "skipped": "the data has no text pairs en-fr of the split dev",
    }
    assert (content["about"]["model_digest"], content["about"]["split"]) == ("fake0000", "dev")
    assert list(content) == sorted(content)
    assert str(tmp_path) not in out.read_text(encoding="utf-8")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["key", *(key for key in content if key != "about")]
    assert any(line.startswith("translation.en_fr.bleu") and "skipped" in line for line in lines)


def test_pieces_made_one_after_the_other_add_up(oracle, tiny, tmp_path):
    out = tmp_path / "evaluation.json"
    for only in ("sound", "translation"):
        assert run_main(FakeHost(), "--data", str(tiny), "--out", str(out), "--only", only) == 0
    content = json.loads(out.read_text(encoding="utf-8"))
    assert {"sound.esc10.accuracy", "translation.multi30k.en_de.bleu"} <= content.keys()
    assert content["about"]["seconds"].keys() == {"sound", "translation"}


def test_rows_of_another_limit_are_not_kept(tiny, tmp_path):
    out = tmp_path / "evaluation.json"
    run_main(FakeHost(), "--data", str(tiny), "--out", str(out), "--only", "sound")
    run_main(FakeHost(), "--data", str(tiny), "--out", str(out), "--only", "translation", "--limit", "2")
    assert "sound.esc10.accuracy" not in json.loads(out.read_text(encoding="utf-8"))


def test_a_defect_in_one_suite_is_reported_and_costs_only_that_suite(tiny, tmp_path, capsys):
    out = tmp_path / "evaluation.json"
    host = FakeHost(scripts={TranslateRequest: broken})
    assert run_main(host, "--data", str(tiny), "--out", str(out), "--only", "translation,sound") == 1
    assert "sound.esc10.accuracy" in json.loads(out.read_text(encoding="utf-8"))
    assert "failed: translation" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--data", "/nowhere/at-all"), "There is no folder 'at-all'; give the folder the data lies in with --data."),
        (("--data", ".", "--only", "cooking"), "No suite is called 'cooking'; known are caption"),
    ],
)
def test_a_request_that_makes_no_sense_is_one_sentence(arguments, sentence, capsys):
    assert run_main(FakeHost(), *arguments) == 2
    assert sentence in capsys.readouterr().err
