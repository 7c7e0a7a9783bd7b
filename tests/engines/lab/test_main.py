import numpy as np
import pytest

from engines.lab import FusionRequest, runs
from engines.lab import __main__ as command
from engines.lab.__main__ import main
from tests.engines.lab.makers import save_photos

QUICK = ["extractors", "--modality", "text", "--n-steps", "10"]


def test_an_experiment_prints_its_tables(capsys):
    assert main(QUICK) == 0
    out = capsys.readouterr().out
    assert out.startswith("EXTRACTORS\n") and "TIME\n" in out and "transformer" in out


def test_several_seeds_print_their_spread(capsys):
    assert main([*QUICK, "--seeds", "2"]) == 0
    assert " ± " in capsys.readouterr().out


def test_every_field_is_an_option():
    typed = "fusion --operator sum attention --n-steps 50 --sound-noise 0.25 --picture-noise 1 --seed 4"
    options = command._parser().parse_args([*typed.split(), "--modality-dropout", "0"])
    assert command.request_of(options) == FusionRequest(
        operator=("sum", "attention"), n_steps=50, sound_noise=0.25, picture_noise=1.0, modality_dropout=0.0, seed=4
    )


def test_a_run_is_kept_and_measured_again(tmp_path, capsys):
    path = tmp_path / "a.run.safetensors"
    assert main([*QUICK, "--save", str(path)]) == 0
    printed = capsys.readouterr().out
    assert main(["again", str(path)]) == 0
    again = capsys.readouterr()
    assert again.err == "the same numbers as when it was saved\n"
    assert printed.startswith(again.out.rstrip("\n"))


def test_weights_that_were_changed_are_told(tmp_path, capsys):
    path = tmp_path / "a.run.safetensors"
    main([*QUICK, "--save", str(path)])
    found = runs.load(path)
    found.weights.update({name: np.zeros_like(value) for name, value in found.weights.items()})
    runs.save(path, found)
    capsys.readouterr()
    assert main(["again", str(path)]) == 0
    assert capsys.readouterr().err == "not the same numbers as when it was saved\n"


def test_a_folder_of_ones_own_takes_the_place_of_the_digits(tmp_path, capsys):
    for name in ("cat", "dog"):
        save_photos(tmp_path / "own" / name, 5)
    path = tmp_path / "a.run.safetensors"
    typed = ["extractors", "--n-steps", "10", "--folder", str(tmp_path / "own"), "--save", str(path)]
    assert main(typed) == 0
    assert main(["again", str(path)]) == 1, "not without the folder"
    assert "give its folder" in capsys.readouterr().err
    assert main(["again", str(path), "--folder", str(tmp_path / "own")]) == 0


@pytest.mark.parametrize(
    ("typed", "code", "sentence"),
    [
        (["extractors", "--modality", "smell"], 2, "modality: 'smell' is not known; choose from picture, sound, text."),
        (["fusion", "--sound-noise", "9"], 2, "sound_noise is 9.0; choose 0 to 1."),
        (["again", "nothing.here"], 1, "nothing.here is not a run of the Lab, or is damaged"),
        (["maml", "--n-steps", "10", "--omniglot", "nowhere"], 1, "Omniglot cannot be read from this folder"),
        (["extractors", "--folder", "nowhere"], 1, "There is no folder nowhere that can be opened"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(typed, code, sentence, capsys):
    assert main(typed) == code
    said = capsys.readouterr()
    assert said.err.startswith(sentence) and said.err.count("\n") == 1 and not said.out


def test_wrong_usage_is_told_apart():
    with pytest.raises(SystemExit) as caught:
        main(["alchemy"])
    assert caught.value.code == 2


def test_ctrl_c_ends_it_quietly(monkeypatch, capsys):
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "experiment", stopped)
    assert main(QUICK) == 130
    assert capsys.readouterr().err == "stopped\n"
