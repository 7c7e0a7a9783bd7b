import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from engines.errors import RequestError
from engines.lab import (
    Chart,
    Curve,
    DatasetRecord,
    Dots,
    ExtractorsRequest,
    Findings,
    FusionRequest,
    Map,
    MultitaskRequest,
    Picture,
    Table,
    runs,
)
from engines.lab.trainer import Recorder
from tests.engines.lab.trials import N_STEPS

SMALL = ExtractorsRequest(modality="text", n_steps=N_STEPS, seed=7)


def some_findings(**changes: Any) -> Findings:
    rng = np.random.default_rng(0)
    parts: dict[str, Any] = {
        "request": FusionRequest(operator=("sum", "attention"), sound_noise=0.25),
        "data": DatasetRecord("猫和狗", "ab" * 32, ("猫/1.jpg", "狗/2.wav")),
        "n_done": 20,
        "n_steps": 600,
        "seconds": 1.5,
        "charts": (Chart("training", "step", "accuracy", (Curve("sum", (1.0, 2.0), (0.5, 0.75)),), percent=True),),
        "tables": (
            Table(
                "fusion",
                ("operator", "accuracy %", "parameters"),
                (("sum", 0.5, 7), ("average", None, 3)),
            ),
        ),
        "maps": (Map("start", "before", (Dots("written", rng.random((2, 2), dtype=np.float32), ("1", "一")),)),),
        "pictures": (Picture("filters", "cnn", rng.random((3, 5), dtype=np.float32)),),
        "said": (("fusion_gain", {"operator": "sum", "points": 7.25}),),
        "weights": {"sum/a.b": rng.random((4, 3), dtype=np.float32), "sum/n": np.array(3)},
        "end": "finished",
    }
    return Findings(**(parts | changes))


def assert_equal(one: Findings, other: Findings) -> None:
    for name in ("request", "data", "n_done", "n_steps", "seconds", "charts", "tables", "said", "end"):
        assert getattr(one, name) == getattr(other, name), name
    assert [(m.key, m.name) for m in one.maps] == [(m.key, m.name) for m in other.maps]
    for a, b in zip(one.maps, other.maps, strict=True):
        for x, y in zip(a.groups, b.groups, strict=True):
            assert (x.name, x.labels) == (y.name, y.labels)
            np.testing.assert_array_equal(x.points, y.points)
    for p, q in zip(one.pictures, other.pictures, strict=True):
        assert (p.key, p.name) == (q.key, q.name)
        np.testing.assert_array_equal(p.pixels, q.pixels)
    assert one.weights.keys() == other.weights.keys()
    for key, value in one.weights.items():
        np.testing.assert_array_equal(value, other.weights[key])


# --- kept in one file ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "found",
    [
        some_findings(),
        some_findings(end="cancelled", weights={}, tables=(), maps=(), pictures=(), said=(), charts=(), data=None),
    ],
    ids=["finished", "stopped before anything was found"],
)
def test_a_run_comes_back_from_its_file_as_it_was(tmp_path, found):
    runs.save(tmp_path / "a.run.safetensors", found)
    assert_equal(runs.load(tmp_path / "a.run.safetensors"), found)


def test_the_file_holds_numbers_and_words_and_nothing_that_runs(tmp_path):
    runs.save(tmp_path / "a.run.safetensors", some_findings())
    with safe_open(tmp_path / "a.run.safetensors", "np") as file:
        assert set(file.metadata()) == {"run"}
        assert json.loads(file.metadata()["run"])["request"]["operator"] == ["sum", "attention"]


def rewritten(path: Path, change: Any) -> None:
    """Change what a run's file says of itself."""
    with safe_open(path, "np") as file:
        about = json.loads(file.metadata()["run"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(about, arrays)
    save_file(arrays, path, {"run": json.dumps(about)})


DAMAGES: dict[str, Any] = {
    "another version": lambda about, arrays: about.update(format="fusion-studio run 9"),
    "no such experiment": lambda about, arrays: about.update(experiment="alchemy"),
    "a setting out of range": lambda about, arrays: about["request"].update(sound_noise=7.0),
    "a setting that is not known": lambda about, arrays: about["request"].update(colour="red"),
    "a map without its places": lambda about, arrays: arrays.pop("map/0/0"),
    "more labels than places": lambda about, arrays: about["maps"][0][2][0][1].append("2"),
    "a curve of words": lambda about, arrays: about["charts"][0]["curves"][0].update(y=["a", "b"]),
    "no end": lambda about, arrays: about.update(end=None),
    "something else altogether": lambda about, arrays: about.clear(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_no_run_is_one_sentence(tmp_path, damage):
    path = tmp_path / "a.run.safetensors"
    runs.save(path, some_findings())
    rewritten(path, DAMAGES[damage])
    with pytest.raises(RequestError, match=r"^a\.run\.safetensors is not a run of the Lab, or is damaged"):
        runs.load(path)


def test_a_run_saved_under_the_names_of_earlier_versions_opens(tmp_path):
    def to_old_names(about: dict[str, Any], arrays: object) -> None:
        about["experiment"] = "sharing"
        about["request"] = {"seed": 7, "n_steps": 20, "noise": 0.3, "task": ["digit"]}
        about["said"] = [["sharing_size", {"percent": 25.0}]]

    runs.save(tmp_path / "a", some_findings())
    rewritten(tmp_path / "a", to_old_names)
    found = runs.load(tmp_path / "a")
    assert found.request == MultitaskRequest(seed=7, n_steps=20, task=("digit",))
    assert found.said == (("multitask_size", {"percent": 25.0}),)


@pytest.mark.parametrize("content", [b"", b"not a run", b"\x00" * 100])
def test_a_file_of_anything_else_is_the_same_sentence(tmp_path, content):
    path = tmp_path / "a.run.safetensors"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="is not a run of the Lab"):
        runs.load(path)
    with pytest.raises(RequestError, match="is not a run of the Lab"):
        runs.load(tmp_path / "nothing there")
    save_file({"w": np.zeros(3)}, path)  # weights of a model
    with pytest.raises(RequestError, match="is not a run of the Lab"):
        runs.load(path)


def test_a_file_too_large_to_be_a_run_is_not_read(tmp_path, monkeypatch):
    runs.save(tmp_path / "a.run.safetensors", some_findings())
    monkeypatch.setattr(runs, "MAX_FILE_BYTES", 100)
    with pytest.raises(RequestError, match="is not a run of the Lab"):
        runs.load(tmp_path / "a.run.safetensors")


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(RequestError, match=r"^The run cannot be written to a\.run"):
        runs.save(tmp_path / "no such folder" / "a.run", some_findings())


# --- measured again --------------------------------------------------------------------------------------------------


def test_a_run_that_was_stopped_has_nothing_to_measure():
    with pytest.raises(RequestError, match=r"^This run was not finished"):
        runs.measure_again(some_findings(end="cancelled", weights={}))


def test_a_run_is_measured_only_on_what_it_learnt_from():
    with pytest.raises(RequestError, match=r"^This run learnt from '猫和狗', which is not here"):
        runs.measure_again(some_findings())


# --- watched ---------------------------------------------------------------------------------------------------------


def test_curves_grow_point_by_point_each_in_its_chart():
    watch = Recorder(SMALL, 10)
    watch.point("training", "gru", 1, 0.1, axes=("step", "accuracy"), percent=True)
    watch.point("training", "transformer", 1, 0.2, axes=("step", "accuracy"), percent=True)
    watch.point("training", "gru", 5, 0.4, axes=("step", "accuracy"), percent=True)
    watch.point("game", "a", 5, 2.0, axes=("step", "loss"))
    training, game = watch.findings().charts
    assert training == Chart(
        "training", "step", "accuracy", (Curve("gru", (1, 5), (0.1, 0.4)), Curve("transformer", (1,), (0.2,))), True
    )
    assert game.curves == (Curve("a", (5,), (2.0,)),) and not game.percent


def test_what_was_found_before_is_not_changed_by_what_comes_after():
    watch = Recorder(SMALL, 10)
    watch.point("training", "gru", 1, 0.1, axes=("step", "accuracy"))
    early = watch.findings()
    watch.n_done += 1
    watch.point("training", "gru", 2, 0.2, axes=("step", "accuracy"))
    assert early.n_done == 0 and early.charts[0].curves[0].x == (1,)
    assert watch.stopped().end == "cancelled" and watch.stopped().n_done == 1
