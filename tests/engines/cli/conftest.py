"""Commands run through `main`, in a folder of their own, with the host that answers from a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from engines.cli import main
from engines.protocol import Request
from tests.fake_host import FakeHost

Run = Callable[..., tuple[int, list[Request], FakeHost]]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The current folder: a few files whose bytes the scripted host never looks at."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg", "a.wav", "a.mp4", "talks/monday/one.mp3", "talks/two.wav", "talks/.hidden.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"media")
    (tmp_path / "talks" / "notes.doc").write_bytes(b"no media")
    return tmp_path


@pytest.fixture
def command(folder) -> Run:
    """Run a command: exit code, the requests that reached the host, and the host."""

    def run(*words: str, host: FakeHost | None = None) -> tuple[int, list[Request], FakeHost]:
        fake = FakeHost() if host is None else host
        code = main(words, opener=lambda routes, settings: fake)
        return code, fake.requests, fake

    return run


@pytest.fixture
def make_photo() -> Callable[..., Path]:
    """Write a JPEG with EXIF: taken "2024:06:01 12:30:00", place (latitude, longitude), camera (make, model)."""

    def degrees(value: float) -> tuple[float, float, float]:
        whole = abs(value)
        return int(whole), int(whole * 60) % 60, round(whole * 3600 % 60, 4)

    def write(
        path: Path,
        colour: int = 0,
        taken: str = "",
        place: tuple[float, float] | None = None,
        camera: tuple[str, str] | None = None,
    ) -> Path:
        exif = Image.Exif()
        if taken:
            exif.get_ifd(0x8769)[0x9003] = taken
        if place is not None:
            latitude, longitude = place
            exif.get_ifd(0x8825).update(
                {1: "N" if latitude >= 0 else "S", 2: degrees(latitude), 3: "E" if longitude >= 0 else "W",
                 4: degrees(longitude)}
            )  # fmt: skip
        if camera is not None:
            exif[0x010F], exif[0x0110] = camera
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), (colour, 90, 200)).save(path, exif=exif)
        return path

    return write
