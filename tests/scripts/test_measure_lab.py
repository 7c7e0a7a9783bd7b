import gzip
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from engines.lab import ExtractorsRequest, Findings, FusionRequest, MamlRequest, MultitaskRequest, Table
from engines.lab.data.arrays import Sounds
from engines.lab.data.datasets import digits
from engines.protocol import Cancel
from scripts import measure_lab
from scripts.measure_lab import main, measured, page_request, real_voices, times
from tests.engines.lab.makers import save_sound, tone


def test_several_seeds_become_one_table_with_what_a_step_cost(capsys):
    found = measured({"extractors of text": ExtractorsRequest(modality="text", n_steps=10)}, None, seeds=(0, 1))
    ((table,),) = found.values()
    assert table["columns"] == ("extractor", "accuracy %", "clean %", "parameters", "ms per step")
    assert all(" ± " in str(row[1]) for row in table["rows"])
    assert capsys.readouterr().err.count("seed") == 2


def test_a_run_has_its_first_point_before_its_end_and_the_page_starts_with_fewer_steps():
    first_s, end_s = times(ExtractorsRequest(modality="text", n_steps=10))
    assert 0.0 < first_s < end_s
    started = page_request(FusionRequest)
    assert isinstance(started, FusionRequest) and started.n_steps < FusionRequest().n_steps


def test_tables_of_one_example_stay_out():
    quick = {"multi-task learning": MultitaskRequest(n_steps=10, task=("digit", "parity"))}
    ((table,),) = measured(quick, None, seeds=(0,)).values()
    assert table["key"] == "multitask"


def test_real_voices_are_measured_beside_fusion(monkeypatch, tmp_path):
    def voices(folder: Path) -> Sounds:
        assert folder == tmp_path
        sounds = digits().valid.sounds
        assert sounds is not None
        return sounds.rows(np.arange(60))

    monkeypatch.setattr(measure_lab, "real_voices", voices)
    found = measured({"fusion": FusionRequest(n_steps=10, operator=("sum", "sound"))}, tmp_path, seeds=(0,))
    assert list(found) == ["fusion", measure_lab.VOICES]
    assert [table["key"] for table in found["fusion"]] == ["fusion"], "what an example trusts stays out"
    assert [row[0] for row in found[measure_lab.VOICES][0]["rows"]] == ["sum", "sound"]


def test_omniglot_is_measured_beside_meta_learning(monkeypatch, tmp_path):
    def benchmark(request: MamlRequest, data: Path, cancel: Cancel) -> Iterator[Findings]:
        assert (request, data) == (measure_lab.BENCHMARK, tmp_path)
        yield Findings(request=request, tables=(Table("maml", ("method", "1 step %"), (("first_order", 0.96),)),))

    monkeypatch.setattr(measure_lab.maml, "benchmark", benchmark)
    quick = {"meta-learning": MamlRequest(method=("head",), n_steps=10)}
    found = measured(quick, None, tmp_path, seeds=(0,))
    assert list(found) == ["meta-learning", measure_lab.OMNIGLOT]
    assert found[measure_lab.OMNIGLOT][0]["rows"] == (("first_order", "96.0"),)


def test_what_is_run_again_takes_its_place_and_the_rest_stays(monkeypatch, tmp_path):
    monkeypatch.setattr(
        measure_lab, "measured", lambda requests, *data: {title: [{"new": title}] for title in requests}
    )
    results = tmp_path / "results.json"
    results.write_text(json.dumps({"alignment": ["old"], "fusion": ["old"]}), encoding="utf-8")
    assert main([str(results), "--only", "fusion"]) == 0
    assert json.loads(results.read_text(encoding="utf-8")) == {"fusion": [{"new": "fusion"}], "alignment": ["old"]}


def test_a_folder_without_voices_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "r.json"), "--voices", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("The recordings of real voices cannot be read from this folder")


def test_real_voices_carry_the_digit_said_and_who_said_it(tmp_path):
    rows = [("7_theo_0", 7, "theo"), ("0_anna_3", 0, "anna"), ("1_theo_1", 1, "theo")]
    for name, digit, _ in rows:
        save_sound(tmp_path / f"{name}.wav", tone(0.2 + digit / 20))
    with tarfile.open(tmp_path / "fsdd.tar", "w:") as tar:
        for name, _, _ in rows:
            tar.add(tmp_path / f"{name}.wav", f"{name}.wav")
    with gzip.open(tmp_path / "fsdd.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"id": n, "digit": str(d), "speaker": s, "take": 0}) + "\n" for n, d, s in rows)
    found = real_voices(tmp_path)
    assert found.labels.tolist() == [7, 0, 1] and found.voices.tolist() == [1, 0, 1]
    assert np.diff(np.concatenate(([0], found.ends))).tolist() == [55, 20, 25]
