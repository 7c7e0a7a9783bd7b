"""The wheel: it holds everything beside the code, and works away from the checkout."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import httpx
import pytest

import engines
from engines.paths import ASSETS
from studio import bootstrap
from studio.cli import free_port

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_and_everything_beside_the_code_is_in_the_wheels_list():
    listed = PROJECT["tool"]["setuptools"]["packages"]
    found = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for package in ("engines", "studio")
        for file in (ROOT / package).rglob("__init__.py")
    }
    assert set(listed) == {*found, "engines._assets"}
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["engines._assets"]
    held = {path for pattern in patterns for path in ASSETS.glob(pattern) if path.is_file()}
    left_out = {path.relative_to(ASSETS).as_posix() for path in ASSETS.rglob("*") if path.is_file()} - {
        path.relative_to(ASSETS).as_posix() for path in held
    }
    assert not {name for name in left_out if not name.startswith("readme/") and "__pycache__" not in name}


def test_every_data_file_beside_the_code_is_in_the_wheels_list():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    packages = {"*": ("engines", "studio"), **{name: (name.replace(".", "/"),) for name in patterns if name != "*"}}
    listed = {
        path
        for name, folders in packages.items()
        for folder in folders
        for pattern in patterns[name]
        for path in (ROOT / folder).rglob(pattern)
    }
    files = {path for package in ("engines", "studio") for path in (ROOT / package).rglob("*") if path.is_file()}
    assert {path for path in files if path.suffix not in (".py", ".pyc")} <= listed


def test_the_container_installs_what_is_tested():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "constraints.txt" in text and "HEALTHCHECK" in text and "USER studio" in text
    copied = set(itertools.chain(*(line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY"))))
    assert all((ROOT / name).exists() for name in copied)
    assert {"uv", "torch", "torchaudio"} <= bootstrap.tested_versions().keys()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A clean copy of what the repository holds, in which building may leave its traces."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("assets", "engines", "studio", "docs"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "constraints.txt", "launch.py", "MANIFEST.in", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for file in ROOT.glob("*.md"):
        shutil.copy(file, copy)
    return copy


def build(source: Path, kind: str, out: Path) -> Path:
    """Build a wheel or an sdist with the setuptools that this Python has."""
    out.mkdir(exist_ok=True)
    program = f"import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"
    ended = subprocess.run(
        [sys.executable, "-c", program, str(out)], cwd=source, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return out / ended.stdout.split()[-1]


@pytest.mark.slow
def test_the_wheel_captions_a_photo_and_serves_the_page_away_from_the_checkout(checkout, tmp_path):
    pytest.importorskip("setuptools", "77")
    if not (ASSETS / "models" / "builtin" / "model.safetensors").is_file():
        pytest.skip("the built-in model's weights are not in this checkout")
    wheel = build(checkout, "wheel", tmp_path / "wheel")
    sdist = build(checkout, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = build(unpacked, "wheel", tmp_path / "again")
    assert set(zipfile.ZipFile(wheel).namelist()) == set(zipfile.ZipFile(again).namelist())

    venv.create(tmp_path / "env", with_pip=False)
    place = Path(sysconfig.get_path("purelib", "venv", {"base": str(tmp_path / "env"), "platbase": str(tmp_path)}))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)
    (place / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = tmp_path / "env" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    photo = shutil.copy(ASSETS / "samples" / "dog.jpg", tmp_path / "photo.jpg")
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments: str) -> str:
        command = [str(python), "-m", "studio", *arguments]
        ended = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert run("--version") == f"fusion-studio {engines.__version__}\n"
    assert "dog" in run("caption", str(photo), "--device", "cpu")
    environment = clean | {"FUSION_STUDIO_HOME": str(tmp_path / "home"), "FUSION_STUDIO_OFFLINE": "1"}
    page = subprocess.Popen(
        [str(python), "-m", "studio", "serve", "--no-browser", "--port", str(free_port("127.0.0.1", 18_460))],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert page.stdout is not None
        while " is at " not in (line := page.stdout.readline()):
            assert line, "it ended before it served the page"
        assert "Fusion Studio" in httpx.get(line.split(" is at ")[1].strip()).text
    finally:
        page.kill()
        page.communicate()
