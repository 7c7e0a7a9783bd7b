import csv
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from engines import CaptionRequest, CaptionResult, Result, Segment, TranscribeRequest, TranscribeResult
from engines.lab import Chart, Curve, Table, runs
from studio import exports
from tests.studio.findings import finished, mapped, under_way


def rows_of(written: bytes | None) -> list[list[str]]:
    assert written is not None
    return list(csv.reader(io.StringIO(written.decode("utf-8-sig"))))


def test_a_spreadsheet_gets_every_table_and_every_curve():
    rows = rows_of(exports.run_as(finished(), "csv"))
    assert rows[0] == ["operator", "accuracy %", "picture missing %", "sound missing %", "parameters"]
    assert rows[1] == ["picture", "0.9", "", "0.9", "1000"]
    assert ["training", "step", "accuracy"] in rows
    assert ["attention", "2.0", "0.93"] in rows


def test_a_spreadsheet_can_tell_chinese():
    found = replace(finished(), tables=(Table("t", ("类", "值"), (("猫", 1.0),)),))
    written = exports.run_as(found, "csv")
    assert written is not None and written.startswith(b"\xef\xbb\xbf")
    assert rows_of(written)[1] == ["猫", "1.0"]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x"])
def test_the_name_of_a_folder_is_no_formula(name):
    found = replace(finished(), tables=(Table("t", ("class",), ((name,),)),))
    assert rows_of(exports.run_as(found, "csv"))[1] == [f"'{name}"]


def test_json_holds_the_settings_the_data_and_all_that_was_measured():
    kept = json.loads(exports.run_as(finished(), "json") or b"")
    assert kept["experiment"] == "fusion"
    assert kept["request"]["seed"] == 7
    assert kept["data"]["files"] == ["digits.safetensors"]
    assert kept["tables"][0]["rows"][2][1] == 0.93
    assert kept["charts"][0]["curves"][0]["y"] == [0.1, 0.9]
    assert "weights" not in kept


def test_json_holds_maps_and_no_number_that_json_has_not():
    chart = Chart("training", "step", "loss", (Curve("picture", (1.0,), (float("nan"),)),))
    kept = json.loads(exports.run_as(replace(mapped(), charts=(chart,)), "json") or b"")
    assert kept["maps"][0]["groups"][0]["points"][1] == [1.0, 1.0]
    assert kept["charts"][0]["curves"][0]["y"] == [None]


@pytest.mark.parametrize("found", [finished(), mapped(), replace(under_way(), end="cancelled")])
def test_a_run_can_be_opened_again_as_it_was(found, tmp_path):
    (tmp_path / "kept.run.safetensors").write_bytes(exports.run_as(found, "run") or b"")
    back = runs.load(tmp_path / "kept.run.safetensors")
    assert (back.request, back.data, back.tables, back.charts, back.end) == (
        found.request, found.data, found.tables, found.charts, found.end,
    )  # fmt: skip
    assert all(np.array_equal(back.weights[name], value) for name, value in found.weights.items())


# --- the results of several files ------------------------------------------------------------------------------------

CAPTION = CaptionResult(
    request=CaptionRequest(media=Path("a/dog.jpg"), language="en"),
    text="A dog & <a cat>.",
    confidence=0.4,
    unsure=True,
    names=(("dog", 0.9), ("cat", 0.3)),
    end="finished",
)
SPEECH = TranscribeResult(
    request=TranscribeRequest(media=Path("talk.mp3"), translate_to="de"),
    segments=(Segment(0.0, 1.0, "Good morning.", translation="Guten Morgen."),),
    end="finished",
)


def sheet(*results: Result) -> io.StringIO:
    return io.StringIO((exports.results_as(results, "csv") or b"").decode("utf-8-sig"))


def packed(*results: Result) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(exports.results_as(results, "zip") or b""))


def test_the_table_has_a_row_for_each_result_and_no_formula():
    rows = list(csv.DictReader(sheet(CAPTION, replace(CAPTION, text="=cmd"), SPEECH)))
    assert rows[0] == {
        "file": "dog.jpg", "text": "A dog & <a cat>.", "translation": "", "confidence": "0.4", "unsure": "True",
        "names": "dog; cat", "written": "",
    }  # fmt: skip
    assert rows[1]["text"] != "=cmd" and rows[2]["translation"] == "Guten Morgen."


def test_the_zip_holds_sidecars_under_the_names_of_the_files():
    with packed(CAPTION, CAPTION, SPEECH) as folder:
        names = set(folder.namelist())
        assert {"dog.jpg.txt", "dog.jpg.xmp", "dog (2).jpg.xmp", "results.csv", "results.json"} < names
        assert {"talk.mp3.srt", "talk.mp3.translation.srt", "talk.mp3.both.vtt"} < names
        assert folder.read("talk.mp3.both.txt").decode() == "Good morning.\nGuten Morgen.\n"
        sidecar = ElementTree.fromstring(folder.read("dog.jpg.xmp").decode().split("?>", 1)[1].rsplit("<?", 1)[0])
    texts = [element.text for element in sidecar.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li")]
    assert texts == ["A dog & <a cat>.", "dog", "cat"]


def test_words_read_in_a_picture_stand_in_the_table_and_in_the_sidecars():
    sign = replace(CAPTION, text="A street.", names=(), written=("KEEP <LEFT>", "Main St"))
    (row,) = csv.DictReader(sheet(sign))
    assert row["written"] == "KEEP <LEFT>\nMain St"
    with packed(sign) as folder:
        assert folder.read("dog.jpg.txt").decode() == "A street.\n\nKEEP <LEFT>\nMain St\n"
        sidecar = ElementTree.fromstring(folder.read("dog.jpg.xmp").decode().split("?>", 1)[1].rsplit("<?", 1)[0])
    (description,) = sidecar.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li")
    assert description.text == "A street.\n\nKEEP <LEFT>\nMain St"
