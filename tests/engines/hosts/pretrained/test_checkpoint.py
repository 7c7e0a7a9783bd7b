"""What lies in a folder, told from small files and headers; and where it fits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.errors import CheckpointError, DeviceError
from engines.hosts.pretrained import checkpoint
from engines.settings import Settings

FAMILIES = {
    "whisper": "speech",
    "speller": "ctc",
    "omni": "chat",
    "language_model": "chat",
    "blip": "pictures",
    "siglip": "space",
    "clap": "space",
    "marian": "translation",
    "m2m": "translation",
}

Built = Callable[[str], Path]


@pytest.fixture
def copied(built, tmp_path) -> Path:
    """A checkpoint one may damage."""
    return Path(shutil.copytree(built("marian"), tmp_path / "marian"))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_architecture_is_told_from_its_config(built, name):
    assert checkpoint.read(built(name), name).family == FAMILIES[name]


def test_parameters_and_bytes_are_those_of_the_weights(built):
    import transformers

    found = checkpoint.read(built("omni"), "omni")
    model = transformers.AutoModelForMultimodalLM.from_pretrained(built("omni"))
    assert found.n_parameters == sum(p.numel() for p in model.parameters())
    assert found.n_bytes == (built("omni") / "model.safetensors").stat().st_size


def test_other_weights_have_another_digest_and_the_same_the_same(built, copied):
    before = checkpoint.read(copied, "x").digest
    assert before == checkpoint.read(built("marian"), "y").digest
    file = copied / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-8] ^= 1
    file.write_bytes(content)
    assert checkpoint.read(copied, "x").digest != before


def test_a_name_of_the_hub_is_kept_and_a_path_is_not_shown(built):
    assert checkpoint.read(built("marian"), "Helsinki-NLP/opus-mt-en-de").name == "Helsinki-NLP/opus-mt-en-de"
    assert checkpoint.read(built("marian"), str(built("marian"))).name == "marian"


def test_the_licence_is_what_the_card_says(copied):
    assert checkpoint.read(copied, "x").licence == ""
    (copied / "README.md").write_text("---\nlicense: apache-2.0\ntags: [x]\n---\n# Model\n", encoding="utf-8")
    assert checkpoint.read(copied, "x").licence == "apache-2.0"


def rewritten(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(change((folder / file).read_bytes()))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            "marian has no weights as .safetensors, and other formats can run code; choose a checkpoint that has them.",
        ),
        (
            rewritten("model.safetensors", lambda content: content[:-100]),
            "model.safetensors in marian is damaged or cut off; fetch",
        ),
        (
            lambda folder: (folder / "model.safetensors.index.json").write_text(
                '{"weight_map": {"a": "model-1.safetensors"}}'
            ),
            "model-1.safetensors in marian is missing; fetch",
        ),
        (rewritten("config.json", lambda _: b"{"), "config.json in marian is damaged; fetch the checkpoint again."),
        (
            rewritten("config.json", lambda _: b'{"model_type": "detr", "architectures": ["DetrForObjectDetection"]}'),
            "marian is a DetrForObjectDetection, which no tab has a use for",
        ),
    ],
)
def test_a_checkpoint_of_no_use_is_one_sentence(copied, damage, said):
    damage(copied)
    with pytest.raises(CheckpointError) as refused:
        checkpoint.read(copied, "x")
    assert refused.value.en.startswith(said)


def test_what_does_not_fit_says_how_much_it_needs_and_what_to_do(built, monkeypatch):
    found = checkpoint.read(built("marian"), "x")
    monkeypatch.setattr(checkpoint.devices, "free_bytes", lambda _: 1_000)
    with pytest.raises(DeviceError) as refused:
        checkpoint.place(found, Settings(device="cpu", dtype="float32"))
    assert refused.value.en.startswith("marian needs about 0.0 GB on cpu in float32")
    assert refused.value.en.endswith("choose bfloat16, a smaller model or a server.")
    with pytest.raises(DeviceError, match="choose a smaller model or a server"):
        checkpoint.place(found, Settings(device="cpu", dtype="int8"))


def test_int4_on_a_cpu_is_refused(built):
    with pytest.raises(DeviceError, match=r"^int4 needs an NVIDIA card; choose int8, or another device"):
        checkpoint.place(checkpoint.read(built("marian"), "x"), Settings(device="cpu", dtype="int4"))


def test_memory_needed_is_counted_by_the_format(built):
    found = checkpoint.read(built("marian"), "x")
    full = checkpoint.place(found, Settings(device="cpu", dtype="float32"))
    small = checkpoint.place(found, Settings(device="cpu", dtype="int8"))
    assert full.need_bytes == pytest.approx(4 * small.need_bytes, abs=4)
    assert small.dtype == "int8" and "int8, as asked for" in small.reason.en
