from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from engines.errors import RequestError
from engines.lab import EXPERIMENTS, AlignmentRequest, FusionRequest, MamlRequest
from studio.tabs.lab import links, ui


def test_an_address_names_an_experiment_and_what_differs_from_where_the_page_begins():
    asked = links.read({"tab": "lab", "experiment": "alignment", "objective": "none,both", "temperature": "0.2"})
    begins = {each.name: each.metadata["first"] for each in fields(AlignmentRequest)}
    assert asked == AlignmentRequest(**(begins | {"objective": ("none", "both"), "temperature": 0.2}))
    assert links.read({"experiment": "maml", "material": "digits", "n_ways": "3"}) == MamlRequest(
        material="digits", n_ways=3
    )
    assert links.read({"tab": "lab"}) is None and links.read({"experiment": "masking"}) is None


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"experiment": "fusion", "n_steps": "many"}, "n_steps is many in this link; it should be a number."),
        ({"experiment": "fusion", "n_steps": "5"}, "n_steps is 5; choose 10 to 2000."),
        ({"experiment": "fusion", "operator": "magic"}, "operator: 'magic' is not known"),
    ],
)
def test_a_wrong_address_is_one_sentence(query, sentence):
    with pytest.raises(RequestError) as raised:
        links.read(query)
    assert raised.value.en.startswith(sentence)


@pytest.mark.parametrize("kind", [entry.request for entry in EXPERIMENTS.values()], ids=list(EXPERIMENTS))
def test_the_python_of_a_request_makes_the_same_request(kind):
    begins = kind(**{each.name: each.metadata["first"] for each in fields(kind)} | {"seed": 4})
    program = links.python(begins)
    line = next(line for line in program.splitlines() if "in experiment(" in line)
    made = eval(line.split("experiment(", 1)[1].rsplit("):", 1)[0], {kind.__name__: kind})
    assert made == begins
    compile(program, "copied", "exec")


@pytest.mark.slow
def test_copied_python_runs_and_prints_the_tables():
    program = links.python(FusionRequest(operator=("picture",), n_steps=10))
    root = Path(ui.__file__).parents[3]
    ended = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert "FUSION" in ended.stdout.upper() and "accuracy" in ended.stdout
