import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from engines.lab import trainer
from engines.lab.data.datasets import digits, from_folder
from engines.lab.trainer import Draw, Noise, lab_config, measured_at, new_model
from engines.model.fusion import FusionModel
from tests.engines.lab.makers import save_photos


@given(st.integers(10, 20_000))
def test_a_curve_has_points_from_the_first_step_to_the_last(n_steps: int) -> None:
    points = measured_at(n_steps)
    assert {1, n_steps} <= points and min(points) == 1 and max(points) == n_steps
    assert len(points) <= 17


def test_one_seed_gives_one_model_and_another_another() -> None:
    config = lab_config(digits())
    one, same, other = (new_model(config, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_weights_are_those_that_torchs_own_seed_gives() -> None:
    config = lab_config(digits(), picture="transformer", sound="gru")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        wanted = FusionModel(config).state_dict()
    assert all(torch.equal(wanted[name], value) for name, value in new_model(config, 3).state_dict().items())


def test_weights_are_the_same_while_others_draw_numbers() -> None:
    """Between two layers somebody else draws: on torch's one generator that would change the second."""

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
        lambda: torch.randn(3),
        lambda: torch.randint(9, (3,)),
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
def test_whatever_is_drawn_is_as_after_torchs_own_seed(draw: Callable[[], Tensor]) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        wanted, state = draw(), torch.get_rng_state()
        with trainer.OwnNumbers(3):
            assert torch.equal(draw(), wanted)
        assert torch.equal(torch.get_rng_state(), state), "none is taken from the generator of all"


def test_a_random_operator_that_takes_no_generator_is_refused() -> None:
    with trainer.OwnNumbers(0), pytest.raises(RuntimeError, match="native_dropout"):
        torch.native_dropout(torch.ones(3), 0.5, True)


def test_a_model_is_the_products_with_a_head_for_the_classes() -> None:
    model = new_model(lab_config(digits()), 0)
    assert type(model) is FusionModel
    assert model.config.events == tuple("0123456789")
    n_frames = max(
        int(np.diff(part.sounds.ends, prepend=0).max()) for part in (digits().train, digits().test) if part.sounds
    )
    assert 2 * model.config.max_sound_tokens >= n_frames, "every sound is heard whole"


def test_a_material_without_sounds_has_a_model_too(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        save_photos(tmp_path / name, 5)
    assert lab_config(from_folder(tmp_path)).events == ("cat", "dog")


@pytest.mark.parametrize("senses", [("picture",), ("sound", "text"), ("picture", "sound", "text")])
def test_examples_are_balanced_and_their_senses_agree(senses: tuple[str, ...]) -> None:
    part = digits().train
    drawn = trainer.draw(part, senses, 40, np.random.default_rng(0))
    assert np.bincount(drawn.labels, minlength=10).tolist() == [4] * 10
    held = {
        "picture": (part.pictures, drawn.picture),
        "sound": (part.sounds, drawn.sound),
        "text": (part.words, drawn.words),
    }
    for sense, (own, places) in held.items():
        assert (places is not None) == (sense in senses)
        if places is not None:
            assert own is not None
            np.testing.assert_array_equal(own.labels[places], drawn.labels)


def test_a_cut_keeps_rows_together() -> None:
    drawn = trainer.draw(digits().train, ("picture", "sound"), 30, np.random.default_rng(0))
    cut = drawn.cut(10, 20)
    assert len(cut) == 10 and cut.words is None
    assert cut.picture is not None and drawn.picture is not None
    np.testing.assert_array_equal(cut.picture, drawn.picture[10:20])


def test_noise_of_a_training_batch_is_none_now_and_then_and_never_more_than_asked() -> None:
    rng = np.random.default_rng(0)
    drawn = [Noise(0.5, 0.8, 0.2).drawn(rng) for _ in range(600)]
    sounds = np.array([noise.sound for noise in drawn])
    assert sounds.max() <= 0.8 and (sounds == 0).mean() == pytest.approx(1 / 3, abs=0.07)
    pictures = np.array([noise.picture for noise in drawn])
    assert abs(np.corrcoef(sounds, pictures)[0, 1]) < 0.15, "each sense for itself"


def test_what_is_missing_is_not_seen() -> None:
    model = new_model(lab_config(digits()), 0)
    drawn = trainer.draw(digits().test, ("picture", "sound"), 6, np.random.default_rng(0))
    missing = torch.tensor([[True, False]] * 3 + [[False, False]] * 3)
    picture, sound = trainer.streams(model, digits().test, drawn, Noise(), np.random.default_rng(0), missing)
    assert not picture.mask[:3].any() and picture.mask[3:].all()
    assert sound.mask.any(1).all()


def test_fitting_lowers_a_loss_and_says_each_step() -> None:
    weight = nn.Parameter(torch.tensor([3.0, -2.0]))
    said = list(trainer.fit([weight], 50, lambda step: (weight**2).sum(), rate=0.2))
    assert [step for step, _ in said] == list(range(1, 51))
    assert said[-1][1] < 0.2 * said[0][1]


def test_chances_do_not_depend_on_how_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    model = new_model(lab_config(digits()), 0)
    drawn = trainer.draw(digits().test, ("picture",), 12, np.random.default_rng(0))
    whole = trainer.chances(model, digits().test, drawn, Noise(), 0)
    monkeypatch.setattr(trainer, "CHUNK", 5)
    torch.testing.assert_close(trainer.chances(model, digits().test, drawn, Noise(), 0), whole)
    assert whole.shape == (12, 10)


def test_accuracy_is_the_share_of_right_answers() -> None:
    found = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    assert trainer.accuracy(found, np.array([0, 1, 1, 1])) == 0.75


def test_weights_go_out_and_come_back() -> None:
    config = lab_config(digits())
    one, other = new_model(config, 0), new_model(config, 1)
    trainer.put_weights("b", other, trainer.weights_of({"a": new_model(config, 2), "b": one}))
    assert all(torch.equal(x, y) for x, y in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_numbers_are_spread_over_their_range_and_equal_ones_are_no_error() -> None:
    np.testing.assert_allclose(trainer.scaled(torch.tensor([2.0, 4.0, 3.0])), [0.0, 1.0, 0.5])
    assert not trainer.scaled(torch.ones(3)).any()


def test_an_example_is_shown_as_the_model_gets_it() -> None:
    drawn = trainer.draw(digits().test, ("picture", "sound"), 2, np.random.default_rng(0))
    photo, sound = trainer.pictures_of(digits().test, drawn, Noise(), 0, "clean")
    assert (photo.key, sound.key) == ("picture", "sound") and photo.name == "clean"
    assert photo.pixels.shape == (64, 64, 3) and sound.pixels.shape[0] == 40
    assert len(Draw(np.zeros(3, np.int64))) == 3
