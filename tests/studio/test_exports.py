import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from engines.lab import Chart, Curve, Table, runs
from studio import exports
from tests.studio.findings import finished, mapped, under_way


def rows_of(written: bytes | None) -> list[list[str]]:
    assert written is not None
    return list(csv.reader(io.StringIO(written.decode("utf-8-sig"))))


def test_a_spreadsheet_gets_every_table_and_every_curve():
    rows = rows_of(exports.written_as(finished(), "csv"))
    assert rows[0] == ["operator", "accuracy %", "picture missing %", "sound missing %", "parameters"]
    assert rows[1] == ["picture", "0.9", "", "0.9", "1000"]
    assert ["training", "step", "accuracy"] in rows
    assert ["attention", "2.0", "0.93"] in rows


def test_a_spreadsheet_can_tell_chinese():
    found = replace(finished(), tables=(Table("t", ("类", "值"), (("猫", 1.0),)),))
    written = exports.written_as(found, "csv")
    assert written is not None and written.startswith(b"\xef\xbb\xbf")
    assert rows_of(written)[1] == ["猫", "1.0"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x"])
def test_the_name_of_a_folder_is_no_formula(name):
    found = replace(finished(), tables=(Table("t", ("class",), ((name,),)),))
    assert rows_of(exports.written_as(found, "csv"))[1] == [f"'{name}"]


def test_json_holds_the_settings_the_data_and_all_that_was_measured():
    kept = json.loads(exports.written_as(finished(), "json") or b"")
    assert kept["experiment"] == "fusion"
    assert kept["request"]["seed"] == 7
    assert kept["data"]["files"] == ["digits.safetensors"]
    assert kept["tables"][0]["rows"][2][1] == 0.93
    assert kept["charts"][0]["curves"][0]["y"] == [0.1, 0.9]
    assert "weights" not in kept


def test_json_holds_maps_and_no_number_that_json_has_not():
    chart = Chart("training", "step", "loss", (Curve("picture", (1.0,), (float("nan"),)),))
    kept = json.loads(exports.written_as(replace(mapped(), charts=(chart,)), "json") or b"")
    assert kept["maps"][0]["groups"][0]["points"][1] == [1.0, 1.0]
    assert kept["charts"][0]["curves"][0]["y"] == [None]


@pytest.mark.parametrize("found", [finished(), mapped(), replace(under_way(), end="cancelled")])
def test_a_run_can_be_opened_again_as_it_was(found, tmp_path):
    (tmp_path / "kept.run.safetensors").write_bytes(exports.written_as(found, "run") or b"")
    back = runs.load(tmp_path / "kept.run.safetensors")
    assert (back.request, back.data, back.tables, back.charts, back.end) == (
        found.request, found.data, found.tables, found.charts, found.end,
    )  # fmt: skip
    assert all(np.array_equal(back.weights[name], value) for name, value in found.weights.items())


def test_there_is_no_other_form():
    assert exports.written_as(finished(), "exe") is None


def test_a_file_is_called_after_its_experiment_and_its_seed():
    assert exports.file_name(finished(), "csv") == "fusion-seed7.csv"
    assert exports.file_name(finished(), "run") == "fusion-seed7.run.safetensors"
