"""A checkpoint on the hub is fetched whole, stopped at once, gone on with later, and every fault is one sentence.

The hub is one of our own on this machine (`tests.loopback_hub`).
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import huggingface_hub.constants
import psutil
import pytest

from engines import Cancelled, CheckpointError, RequestError, describe, open_host
from engines.errors import UserError
from engines.hosts import hub
from engines.protocol import Cancel, Progress
from tests import loopback_hub
from tests.loopback_hub import LoopbackHub

pytestmark = pytest.mark.slow

NAME = "house/model"
CARD = "---\nlicense: apache-2.0\n---\nA model.\n"
WEIGHTS = os.urandom(300_000)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """Where huggingface_hub keeps its files, empty."""
    folder = tmp_path / "home" / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setenv("HF_HOME", str(folder.parent))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(hub.OFFLINE, "0")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # as in the running program
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def there(tmp_path, cache, monkeypatch) -> Iterator[LoopbackHub]:
    """A hub with one model."""
    with loopback_hub.running(tmp_path / "hub") as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        write_model(running.folder / NAME)
        yield running


def write_model(folder: Path, weights: dict[str, bytes] | None = None) -> None:
    files = {
        "README.md": CARD.encode(),
        "config.json": b'{"model_type": "whisper"}',
        "tokenizer.json": b"{}",
        "vocab.json": b"{}",  # the same content twice is one file in the cache
        "pytorch_model.bin": b"pickle",
        "modeling.py": b"code",
        "onnx/model.onnx": b"onnx",
        **(weights if weights is not None else {"model.safetensors": WEIGHTS}),
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def fetched(name: str = NAME) -> list[Progress]:
    return list(hub.fetch(name, Cancel()))


def at_work() -> list[psutil.Process]:
    """The processes of ours that fetch something."""
    return [child for child in psutil.Process().children() if "engines.hosts.download" in child.cmdline()]


def stop_in_the_middle(there: LoopbackHub) -> None:
    """Begin to fetch, and stop when some of the weights are here."""
    there.pause_s = 0.2
    cancel = Cancel()
    with pytest.raises(Cancelled):  # noqa: PT012 (it is raised by the step after the stop)
        for progress in hub.fetch(NAME, cancel):
            if progress.done > 20_000:
                cancel.set()
    there.pause_s = 0.0
    there.asked.clear()


# --- what is fetched ----------------------------------------------------------------------------------------------


def test_a_model_is_fetched_whole_without_code_and_found_by_other_programs(there, cache):
    assert hub.local(NAME) is None
    fetched()
    folder = hub.local(NAME)
    assert folder is not None and (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert {file.name for file in folder.iterdir()} == {
        "README.md", "config.json", "model.safetensors", "tokenizer.json", "vocab.json",
    }  # fmt: skip
    assert there.asked and not any(asked.file.endswith((".bin", ".py", ".onnx")) for asked in there.asked)
    there.asked.clear()
    found = huggingface_hub.snapshot_download(NAME, cache_dir=cache, local_files_only=True)
    assert Path(found) == folder and not there.asked


def test_progress_grows_to_the_total(there):
    there.pause_s = 0.05
    told = fetched()
    assert told[0] == Progress("fetching")
    assert all(a.done <= b.done for a, b in pairwise(told)) and len({p.done for p in told}) > 3
    n_bytes = sum(file.stat().st_size for file in hub.local(NAME).iterdir())
    assert told[-1] == Progress("fetching", n_bytes, n_bytes, "bytes")


def test_weights_in_several_files_are_here_when_all_are(there, cache):
    shards = {f"model-0000{i}-of-00002.safetensors": os.urandom(1000) for i in (1, 2)}
    index = json.dumps({"weight_map": dict(zip("ab", shards, strict=True))}).encode()
    write_model(there.folder / "house/large", {**shards, "model.safetensors.index.json": index})
    fetched("house/large")
    folder = hub.local("house/large")
    assert folder is not None and all((folder / name).read_bytes() == content for name, content in shards.items())
    (folder / next(iter(shards))).unlink()
    assert hub.local("house/large") is None


def test_an_offer_tells_size_and_licence_and_fetches_nothing(there, cache):
    offer = describe(NAME)
    assert offer.download_bytes == len(WEIGHTS) + len(CARD) + len('{"model_type": "whisper"}') + 2 * len("{}")
    assert (offer.info.name, offer.info.source, offer.info.licence) == (NAME, NAME, "apache-2.0")
    assert offer.info.n_parameters == 1000 and not offer.info.abilities
    assert {asked.file for asked in there.asked} == {"config.json"} and not cache.exists()


@pytest.mark.parametrize(
    ("small", "is_of_use"),
    [
        ({"config.json": {"model_type": "bert", "architectures": ["BertModel"]}}, False),
        ({"config.json": {"model_type": "qwen2"}, "tokenizer_config.json": {"chat_template": "{{ messages }}"}}, True),
        ({"config.json": {"model_type": "qwen2"}, "chat_template.jinja": "{{ messages }}"}, True),
        ({"config.json": {"format": "ours"}}, True),
        ({"config.json": []}, True),  # damaged: loading says so
    ],
)
def test_a_model_of_no_use_here_is_refused_before_its_weights_come(there, small, is_of_use):
    for file, content in small.items():
        (there.folder / NAME / file).write_text(json.dumps(content), encoding="utf-8")
    if is_of_use:
        assert describe(NAME).download_bytes > len(WEIGHTS)
        return
    for ask in (describe, open_host):
        with pytest.raises(CheckpointError, match=r"^house/model is a \w+, which no tab has a use for"):
            ask(NAME)
    assert hub.local(NAME) is None and not at_work()


def test_the_token_of_the_owner_opens_what_asks_for_it(there, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_owner")
    fetched()
    assert {asked.token for asked in there.asked} == {"Bearer hf_of_the_owner"}


# --- stopping and going on ----------------------------------------------------------------------------------------


def test_a_stop_ends_the_process_and_the_next_try_goes_on_where_it_was(there):
    whole = hub.offer(NAME).download_bytes
    stop_in_the_middle(there)
    assert not at_work() and hub.local(NAME) is None
    assert 0 < hub.offer(NAME).download_bytes < whole
    told = fetched()
    [start] = there.gets("model.safetensors")
    assert start > 0 and told[1].done >= start
    assert (hub.local(NAME) / "model.safetensors").read_bytes() == WEIGHTS


def test_who_looks_away_ends_the_process(there):
    there.pause_s = 0.2
    fetching = hub.fetch(NAME, Cancel())
    assert next(fetching).total == 0 and next(fetching).total > 0
    assert len(at_work()) == 1
    fetching.close()
    assert not at_work()


def test_two_who_fetch_the_same_fetch_it_once(there):
    there.pause_s = 0.02
    threads = [threading.Thread(target=fetched) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert there.gets("model.safetensors") == [0] and hub.local(NAME) is not None


def test_a_file_that_was_stopped_at_its_very_end_is_not_fetched_again(there, cache):
    leave(there, cache, WEIGHTS)
    fetched()
    assert there.gets("model.safetensors") == [] and hub.local(NAME) is not None


def test_a_server_that_knows_no_ranges_gives_the_file_anew(there, cache):
    there.takes_ranges = False
    leave(there, cache, WEIGHTS[:100_000])
    fetched()
    assert there.gets("model.safetensors") == [0]
    assert (hub.local(NAME) / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * len(WEIGHTS), WEIGHTS + b"x"], ids=["other", "full", "more"])
def test_what_is_not_of_the_file_is_fetched_anew(there, cache, left):
    leave(there, cache, left)
    fetched()
    assert (hub.local(NAME) / "model.safetensors").read_bytes() == WEIGHTS


def leave(there: LoopbackHub, cache: Path, content: bytes) -> None:
    """What an earlier try left of the weights."""
    blobs = cache / "models--house--model" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{loopback_hub.etag(there.folder / NAME / 'model.safetensors')}.part").write_bytes(content)


# --- what can go wrong --------------------------------------------------------------------------------------------


def refusal(name: str = NAME) -> UserError:
    with pytest.raises(UserError) as refused:
        fetched(name)
    assert refused.value.zh != refused.value.en
    return refused.value


def place(there: LoopbackHub) -> str:
    return there.address.removeprefix("http://")


def test_a_connection_that_is_lost_keeps_what_came(there):
    there.cut_at = 100_000
    assert refusal().en == (
        f"The connection to {place(there)} was lost while {NAME} was fetched; what came is kept, try again."
    )
    there.cut_at = None
    there.asked.clear()
    fetched()
    assert there.gets("model.safetensors")[0] > 0 and hub.local(NAME) is not None


def test_a_name_the_hub_does_not_know(there):
    refused = refusal("house/none")
    assert isinstance(refused, RequestError)
    assert refused.en == f"{place(there)} has no model house/none, or it is private; check the name, or set HF_TOKEN."


@pytest.mark.parametrize("name", ["house/.", "a--b/c", "house/model-"])
def test_a_name_the_hub_would_not_give_is_not_asked_for(there, name):
    assert hub.local(name) is None
    assert "has no model" in refusal(name).en


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"gated": {NAME}}, "{name} asks to accept its terms first; do so on its page at {place}, set HF_TOKEN and"),
        ({"down": 500}, "{place} answered with error 500 when asked for {name}; try again later."),
        ({"down": 429}, "{place} answered with error 429 when asked for {name}; try again later."),
        ({"fails": 503}, "{place} answered with error 503 when asked for {name}; try again later."),  # in the middle
        ({"fails": 403}, "{place} refuses to give {name} (error 403); check HF_TOKEN."),
        ({"page": b"<html>Welcome to our hotel</html>"}, "{place} does not answer as the Hugging Face hub does; check"),
    ],
)
def test_what_goes_wrong_at_the_hub_is_one_sentence(there, fault, said):
    for name, value in fault.items():
        setattr(there, name, value)
    assert refusal().en.startswith(said.format(place=place(there), name=NAME))


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("model.safetensors", "has no weights as model.safetensors, and other formats can run code; choose a model"),
        ("config.json", "has no config.json, so it is no checkpoint of transformers; choose one that is."),
    ],
)
def test_a_repository_of_no_use(there, missing, said):
    (there.folder / NAME / missing).unlink()
    refused = refusal()
    assert isinstance(refused, CheckpointError) and said in refused.en and not there.asked


def test_no_network(there, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://someone:secret@127.0.0.1:1")
    said = f"127.0.0.1:1 cannot be reached to fetch {NAME}; check the network, or choose a folder."
    assert refusal().en == said
    with pytest.raises(RequestError) as refused:
        hub.offer(NAME)
    assert refused.value.en == said


def test_a_disk_that_is_too_small_is_told_before_the_start(there):
    there.sizes["model.safetensors"] = 10**18
    assert refusal().en.startswith(f"{NAME} needs 1050000000.00 GB more on the disk, and ")
    assert refusal().en.endswith("GB are free; make room, or set HF_HOME to a larger disk.")
    assert {asked.file for asked in there.asked} == {"config.json"}


def test_a_folder_that_cannot_be_written(there, cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    assert refusal().en == (
        f"The folder for models cannot be written, so {NAME} cannot be fetched; set HF_HOME to another one."
    )


def test_a_defect_of_ours_is_not_taken_for_the_network(there, monkeypatch):
    monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", "no number")
    with pytest.raises(RuntimeError, match=r"(?s)Fetching house/model broke off: .*no number"):
        fetched()


# --- offline ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["1", "true", "ON"])
@pytest.mark.parametrize("kept", [True, False])
def test_an_owner_who_wants_no_network_gets_none(there, monkeypatch, value, kept):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    if kept:
        monkeypatch.setenv(hub.OFFLINE, value)
    else:
        monkeypatch.delenv(hub.OFFLINE)
    said = f"{NAME} is not on this machine, and HF_HUB_OFFLINE is set; start without it to fetch the model, or choose"
    assert refusal().en.startswith(said)
    for ask in (hub.offer, describe, open_host):
        with pytest.raises(RequestError) as refused:
            ask(NAME)
        assert refused.value.en.startswith(said)


def test_what_is_here_needs_no_network(there, monkeypatch):
    fetched()
    monkeypatch.setenv(hub.OFFLINE, "1")
    there.down = 500
    assert hub.local(NAME) is not None


def test_a_damaged_list_of_weights_counts_as_not_here(there):
    fetched()
    folder = hub.local(NAME)
    assert folder is not None
    for damage in ("{", "[]", "{}", '{"weight_map": []}'):
        (folder / hub.INDEX).write_text(damage)
        assert hub.local(NAME) is None
