from dataclasses import fields
from typing import Any

import pytest

from engines.errors import RequestError
from engines.lab import EXPERIMENTS, FusionRequest, MamlRequest


@pytest.mark.parametrize("kind", [entry.request for entry in EXPERIMENTS.values()], ids=[*EXPERIMENTS])
def test_what_a_request_is_made_of_can_all_be_laid_out_and_typed(kind):
    for each in fields(kind):
        assert ("known" in each.metadata) != ("low" in each.metadata), each.name
        if "known" in each.metadata:
            chosen = each.default if isinstance(each.default, tuple) else (each.default,)
            assert set(chosen) <= set(each.metadata["known"])
        else:
            assert each.metadata["low"] <= each.default <= each.metadata["high"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"sound_noise": 1.5}, "sound_noise is 1.5; choose 0 to 1."),
    ({"sound_noise": float("nan")}, "sound_noise is nan; choose 0 to 1."),
    ({"sound_noise": "loud"}, "sound_noise is loud; choose 0 to 1."),
    ({"n_steps": 9}, "n_steps is 9; choose 10 to 2000."),
    ({"n_steps": True}, "n_steps is True; choose 10 to 2000."),
    ({"seed": -1}, "seed is -1; choose 0 to 9999."),
    (
        {"operator": ()},
        "operator: nothing is chosen; choose from picture, sound, average, sum, gated, gated_unit, concat, "
        "tensor, attention.",
    ),
    ({"operator": ("sum", "max")}, "operator: 'max' is not known; choose from picture, sound,"),
    ({"operator": ("sum", "sum")}, "operator: choose each only once."),
]


@pytest.mark.parametrize(("given", "sentence"), WRONG, ids=[str(given) for given, _ in WRONG])
def test_what_cannot_be_asked_is_one_sentence_in_both_languages(given, sentence):
    with pytest.raises(RequestError) as caught:
        FusionRequest(**given)
    assert caught.value.en.startswith(sentence)
    assert caught.value.zh and caught.value.zh != caught.value.en


def test_whole_numbers_stay_whole():
    with pytest.raises(RequestError, match=r"^n_ways is 2\.5; choose a whole number from 2 to 10"):
        MamlRequest(n_ways=2.5)
    assert FusionRequest(sound_noise=1).sound_noise == 1
