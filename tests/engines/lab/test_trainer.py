import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from engines.lab import trainer
from engines.lab.data.datasets import digits, from_folder
from engines.lab.trainer import Noise, SeededRandomness, lab_config, measured_at, new_model, sample
from engines.model.fusion import FusionModel
from tests.engines.lab.makers import save_photos


@given(st.integers(10, 20_000))
def test_a_curve_has_points_from_the_first_step_to_the_last(n_steps):
    points = measured_at(n_steps)
    assert {1, n_steps} <= points and min(points) == 1 and max(points) == n_steps
    assert len(points) <= 17


# --- models and their seeds ------------------------------------------------------------------------------------------


def test_weights_are_those_that_torchs_manual_seed_gives():
    config = lab_config(digits(), picture="transformer", sound="gru")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        wanted = FusionModel(config).state_dict()
    assert all(torch.equal(wanted[name], value) for name, value in new_model(config, 3).state_dict().items())
    assert any(not torch.equal(wanted[name], value) for name, value in new_model(config, 4).state_dict().items())


def test_weights_do_not_depend_on_what_other_threads_draw():
    def made(other: Callable[[], object]) -> nn.Module:
        first = nn.Linear(4, 4)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return nn.Sequential(first, nn.Linear(4, 4), nn.Embedding(4, 4))

    alone = trainer.seeded(0, lambda: made(lambda: None))
    beside = trainer.seeded(0, lambda: made(lambda: torch.rand(10)))
    assert all(torch.equal(one, same) for one, same in zip(alone.parameters(), beside.parameters(), strict=True))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.rand(3),
        lambda: torch.randint(4, 9, (3,)),
        lambda: torch.randperm(5),
        lambda: torch.rand_like(torch.ones(3)),
        lambda: torch.bernoulli(torch.full((9,), 0.5)),
        lambda: torch.full((9,), 0.1).multinomial(3),
        lambda: torch.normal(torch.zeros(3), 1.0),
        lambda: nn.init.trunc_normal_(torch.empty(3)),
        lambda: nn.functional.dropout(torch.ones(9)),
    ],
)
def test_random_operators_use_a_private_generator(draw):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        wanted, state = draw(), torch.get_rng_state()
        with SeededRandomness(3):
            assert torch.equal(draw(), wanted)
        assert torch.equal(torch.get_rng_state(), state), "torch's global generator is untouched"


def test_a_random_operator_that_takes_no_generator_is_refused():
    with SeededRandomness(0), pytest.raises(RuntimeError, match="native_dropout"):
        torch.native_dropout(torch.ones(3), 0.5, True)


def test_a_model_has_a_head_for_the_classes_and_hears_every_sound_whole(tmp_path):
    model = new_model(lab_config(digits()), 0)
    assert type(model) is FusionModel
    assert model.config.events == tuple("0123456789")
    splits = (digits().train, digits().test)
    n_frames = max(int(np.diff(split.sounds.ends, prepend=0).max()) for split in splits if split.sounds)
    assert 2 * model.config.max_sound_tokens >= n_frames
    for name in ("cat", "dog"):
        save_photos(tmp_path / name, 5)
    assert lab_config(from_folder(tmp_path)).events == ("cat", "dog"), "also without sounds"


def test_weights_are_saved_and_loaded_by_model():
    config = lab_config(digits())
    one, other = new_model(config, 0), new_model(config, 1)
    trainer.loaded(other, "b", trainer.weights_of({"a": new_model(config, 2), "b": one}))
    assert all(torch.equal(x, y) for x, y in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


# --- examples and noise ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modalities", [("picture",), ("sound", "text"), ("picture", "sound", "text")])
def test_sampled_classes_are_balanced_and_all_modalities_agree(modalities):
    split = digits().train
    examples = sample(split, modalities, 40, np.random.default_rng(0))
    assert np.bincount(examples.labels, minlength=10).tolist() == [4] * 10
    arrays = {
        "picture": (split.pictures, examples.picture),
        "sound": (split.sounds, examples.sound),
        "text": (split.words, examples.words),
    }
    for modality, (held, rows) in arrays.items():
        assert (rows is not None) == (modality in modalities)
        if rows is not None:
            assert held is not None
            np.testing.assert_array_equal(held.labels[rows], examples.labels)


def test_a_slice_keeps_the_rows_of_an_example_together():
    examples = sample(digits().train, ("picture", "sound"), 30, np.random.default_rng(0))
    some = examples[10:20]
    assert len(some) == 10 and some.words is None
    assert some.picture is not None and examples.picture is not None
    np.testing.assert_array_equal(some.picture, examples.picture[10:20])


def test_training_noise_is_zero_for_a_third_of_the_batches_and_independent_between_modalities():
    rng = np.random.default_rng(0)
    levels = [Noise(0.5, 0.8, 0.2).sample(rng) for _ in range(600)]
    sounds, pictures = (np.array([getattr(level, name) for level in levels]) for name in ("sound", "picture"))
    assert sounds.max() <= 0.8 and (sounds == 0).mean() == pytest.approx(1 / 3, abs=0.07)
    assert abs(np.corrcoef(sounds, pictures)[0, 1]) < 0.15


def test_missing_modalities_are_masked_in_single_examples():
    model = new_model(lab_config(digits()), 0)
    examples = sample(digits().test, ("picture", "sound"), 6, np.random.default_rng(0))
    missing = torch.tensor([[True, False]] * 3 + [[False, False]] * 3)
    picture, sound = trainer.streams(model, digits().test, examples, Noise(), np.random.default_rng(0), missing)
    assert not picture.mask[:3].any() and picture.mask[3:].all()
    assert sound.mask.any(1).all()


# --- training and measuring ------------------------------------------------------------------------------------------


def test_fitting_lowers_a_loss_and_reports_each_step():
    weight = nn.Parameter(torch.tensor([3.0, -2.0]))
    steps = list(trainer.fit([weight], 50, lambda step: (weight**2).sum(), rate=0.2))
    assert [step for step, _ in steps] == list(range(1, 51))
    assert steps[-1][1] < 0.2 * steps[0][1]


def test_probabilities_do_not_depend_on_the_chunks(monkeypatch):
    model = new_model(lab_config(digits()), 0)
    examples = sample(digits().test, ("picture",), 12, np.random.default_rng(0))
    whole = trainer.probabilities(model, digits().test, examples, Noise(), 0)
    monkeypatch.setattr(trainer, "CHUNK", 5)
    torch.testing.assert_close(trainer.probabilities(model, digits().test, examples, Noise(), 0), whole)
    assert whole.shape == (12, 10)
    assert trainer.accuracy(torch.eye(4), np.array([0, 1, 1, 3])) == 0.75


def test_an_example_is_shown_as_the_model_receives_it_scaled_to_its_range():
    examples = sample(digits().test, ("picture", "sound"), 2, np.random.default_rng(0))
    photo, sound = trainer.pictures_of(digits().test, examples, Noise(), 0, "clean")
    assert (photo.key, sound.key) == ("picture", "sound") and photo.name == "clean"
    assert photo.pixels.shape == (64, 64, 3) and sound.pixels.shape[0] == 40
    np.testing.assert_allclose(trainer.scaled(torch.tensor([2.0, 4.0, 3.0])), [0.0, 1.0, 0.5])
    assert not trainer.scaled(torch.ones(3)).any()
