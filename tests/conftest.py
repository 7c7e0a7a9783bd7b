"""What every test may ask for: synthetic media, the tiny model, a host on it, and the host that answers from a script.

Everything here is made on the spot, offline and on the CPU. The built-in model's weights are asked for by `builtin`,
which skips where they are not in the checkout.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # test workers share the cores; two torch threads on busy cores collapse

import signal
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from engines.protocol import RATE_HZ, Clip, Host, Photo, Sound
from tests.fake_host import FakeHost

if TYPE_CHECKING:
    from engines.encoder import MediaEncoder
    from engines.hosts.builtin import BuiltinHost
    from engines.model.checkpoint import Checkpoint

# A shell starts a program in the background with Ctrl-C ignored, and so whatever the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no failure, and a change that has nothing to do with it is not refused for an input found by chance:
# `--hypothesis-profile=random` looks for further ones.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None)
settings.load_profile("repeatable")

# Nor is an answer that takes longer than the five seconds which httpx, and gradio's client with it, waits by itself.
for _part in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, _part, 120.0)

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "assets" / "samples"


# --- media -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def uploads_of_the_tests(tmp_path_factory) -> Iterator[Path]:
    """Gradio keeps the uploads of one worker in one folder, also after a test has started a studio."""
    folder = tmp_path_factory.mktemp("uploads") / f"studio-{os.getpid()}"
    folder.mkdir()
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    yield folder
    if before is None:
        os.environ.pop("GRADIO_TEMP_DIR")
    else:
        os.environ["GRADIO_TEMP_DIR"] = before


@pytest.fixture(scope="session", autouse=True)
def home_of_the_tests(tmp_path_factory) -> None:
    """Settings, collections and label sets of whoever runs the tests are left alone, by subprocesses too."""
    os.environ["FUSION_STUDIO_HOME"] = str(tmp_path_factory.mktemp("home"))


@pytest.fixture
def photo() -> Photo:
    """A red square on a blue ground, 80 x 60."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[..., 2] = 200
    pixels[20:40, 30:50] = (220, 30, 30)
    return Photo(pixels)


def tone(seconds: float, *, hz: float = 440.0, level: float = 0.3) -> np.ndarray:
    """A sine at 16 kHz, (n,) float32."""
    times_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (level * np.sin(2 * np.pi * hz * times_s)).astype(np.float32)


@pytest.fixture
def sound() -> Sound:
    """Two seconds of a tone."""
    return Sound(tone(2.0))


@pytest.fixture
def clip(photo, sound) -> Clip:
    """Four frames over two seconds, the square growing, with the tone under them."""
    frames = []
    for n in range(4):
        pixels = photo.pixels.copy()
        pixels[20 - 4 * n : 40 + 4 * n, 30:50] = (220, 30, 30)
        frames.append(pixels)
    return Clip(tuple(frames), (0.25, 0.75, 1.25, 1.75), 2.0, sound)


def write_photo(path: Path, photo: Photo) -> Path:
    Image.fromarray(photo.pixels).save(path)
    return path


def write_sound(path: Path, samples: np.ndarray) -> Path:
    """A WAV file, mono, 16 bits, 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
    return path


# --- models and hosts --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    """The tiny model with the shipped vocabulary; nothing is learnt. Read-only."""
    from engines.model import checkpoint

    return checkpoint.tiny()


@pytest.fixture
def encoder(checkpoint) -> MediaEncoder:
    """The tiny model as a media encoder with its own cache."""
    from engines.encoder import MediaEncoder

    return MediaEncoder(checkpoint, cache_bytes=2**20)


@pytest.fixture
def tiny_host() -> Iterator[BuiltinHost]:
    """The built-in host on a tiny model of its own, so that a test may move or break it."""
    from engines.hosts.builtin import BuiltinHost
    from engines.model import checkpoint

    host = BuiltinHost(checkpoint.tiny(), cache_bytes=2**20)
    yield host
    host.close()


@pytest.fixture(scope="session")
def builtin() -> Iterator[Host]:
    """The host people get, on its real weights."""
    if not (ROOT / "assets" / "models" / "builtin" / "model.safetensors").is_file():
        pytest.skip("the built-in model's weights are not in this checkout")
    from engines import Settings, open_host

    host = open_host("builtin", Settings(device="cpu", n_threads=1))
    yield host
    host.close()


@pytest.fixture
def fake_host() -> FakeHost:
    """A host that answers every request from a script."""
    return FakeHost()
