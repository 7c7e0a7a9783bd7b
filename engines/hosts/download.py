"""The process that fetches a checkpoint from the Hugging Face hub for `hub`, and says in JSON lines how far it is.

    python -m engines.hosts.download look|fetch NAME CACHE

Fetched are safetensors and the small files beside them, never a format that can run code. Files lie where
huggingface_hub keeps them, so other programs find them too. `snapshot_download` (2.4.0) begins a file anew in every
process, since each writes to a temporary file of its own (https://github.com/huggingface/huggingface_hub/pull/4228), so
a stop would lose gigabytes; here a file goes on where it was (HTTP Range), is checked against its digest, and is then
handed to the library, which finds it complete.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

WEIGHTS, INDEX, CONFIG = "model.safetensors", "model.safetensors.index.json", "config.json"
BESIDE = re.compile(r"README\.md|.+\.(json|txt|model|spm|jinja|tiktoken)")
TEMPLATES = ("chat_template.jinja", "chat_template.json")
TEMPLATE_IN = ("tokenizer_config.json", "processor_config.json")
"""Where a checkpoint that holds conversations has the template for them: in a file of its own, or in one of these."""
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
SPARE = 1.05
"""Room on the disk beside the download, which other programs may use meanwhile."""
AT_ONCE = 4
PAUSES_S = (0.5, 2.0)
"""Before another try while nothing comes; after that a person decides."""
TELL_S = 0.1


class Fault(Exception):
    """What the other process makes a sentence of. facts: what the sentence needs."""

    def __init__(self, fault: str, **facts: Any) -> None:
        super().__init__(fault)
        self.record = {"fault": fault, **facts}


@dataclass(frozen=True)
class _File:
    """A file to fetch. digest: sha256 of its content, "" where the hub knows none. blob: its name in the cache."""

    name: str
    n_bytes: int
    digest: str
    blob: str


def main(argv: Sequence[str]) -> NoReturn:
    """Look at or fetch a checkpoint, telling in JSON lines. argv: "look" or "fetch", the name, the cache's folder."""
    from urllib.parse import urlsplit

    from huggingface_hub import constants, errors

    work, name, cache = argv
    try:
        try:
            _work(name, Path(cache), only_look=work == "look")
        except (OSError, errors.HTTPError) as error:
            raise _explained(error) from error
    except Fault as fault:
        _say({**fault.record, "name": name, "place": urlsplit(constants.ENDPOINT).netloc.rpartition("@")[2]})
    except Exception:
        traceback.print_exc()
        _end(1)
    _end(0)


def _end(code: int) -> NoReturn:
    """End without waiting for threads that wait for the network."""
    sys.stderr.flush()
    os._exit(code)


def _say(record: dict[str, Any]) -> None:
    try:
        print(json.dumps(record), flush=True)
    except OSError:  # nobody listens any more
        _end(1)


def _explained(error: Exception) -> Exception:
    """What is behind an error of the library or the disk; the error itself where that is not known."""
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # it looked for the file on the disk after the network failed
    if isinstance(error, errors.GatedRepoError):
        return Fault("gated")
    if isinstance(error, errors.RepositoryNotFoundError):
        return Fault("missing")
    if isinstance(error, errors.HfHubHTTPError):
        status = error.response.status_code
        return Fault("refused" if status in (401, 403) else "server", status=status)
    if isinstance(error, errors.FileMetadataError):
        return Fault("strange")
    if isinstance(error, errors.HTTPError):
        return Fault("lost")
    if isinstance(error, OSError) and error.errno is not None:
        return Fault("unwritable")
    return RuntimeError("an error of no known kind")


def _work(name: str, cache: Path, *, only_look: bool) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.utils import WeakFileLock

    info = _info(name)
    files = _files(info)
    if info.gated:
        HfApi().auth_check(name)
    storage = cache / f"models--{name.replace('/', '--')}"
    _say(_kind(name, info.sha, {file.name for file in files}))
    if only_look:
        n_parameters = info.safetensors.total if info.safetensors is not None else 0
        _say({"left": _left(files, storage, info.sha), "licence": _licence(info), "n_parameters": n_parameters})
        return
    lock = cache / ".locks" / storage.name / "fetching.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):  # who fetches the same at the same time waits, and then finds it here
        (storage / "blobs").mkdir(parents=True, exist_ok=True)
        left = _left(files, storage, info.sha)
        need, free = round(left * SPARE), shutil.disk_usage(storage).free
        if need > free:
            raise Fault("full", need=need, free=free)
        try:
            _fetch_all(name, info.sha, files, cache, storage)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            left, free = _left(files, storage, info.sha), shutil.disk_usage(storage).free
            raise Fault("full", need=left, free=free) from error


def _info(name: str) -> Any:
    """What the hub knows of a model."""
    from huggingface_hub import HfApi, constants, errors

    try:
        info = HfApi().model_info(name, files_metadata=True, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except errors.HfHubHTTPError:
        raise
    except errors.HFValidationError as error:
        raise Fault("missing") from error
    except errors.HTTPError as error:
        raise Fault("unreachable") from error
    except (KeyError, TypeError, ValueError) as error:  # a page to log in to a network, say
        raise Fault("strange") from error
    if not re.fullmatch(r"[0-9a-f]{40}", info.sha or ""):
        raise Fault("strange")
    return info


def _kind(name: str, commit: str, files: set[str]) -> dict[str, Any]:
    """What can be known of a model before its weights are fetched: its config, and whether it holds conversations."""
    chats = any(file in files for file in TEMPLATES) or any(
        "chat_template" in _small(name, commit, file) for file in TEMPLATE_IN if file in files
    )
    return {"config": _small(name, commit, CONFIG), "chats": chats}


def _small(name: str, commit: str, file: str) -> dict[str, Any]:
    """A JSON file of a repository; {} for a damaged one, of which loading says what to do."""
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    url, timeout_s = hf_hub_url(name, file, revision=commit), constants.HF_HUB_DOWNLOAD_TIMEOUT
    response = get_session().get(url, headers=build_hf_headers(), timeout=timeout_s)
    hf_raise_for_status(response)
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _licence(info: Any) -> str:
    card = info.card_data.to_dict() if info.card_data is not None else {}
    licence = card.get("license") or ""
    if licence == "other":
        licence = card.get("license_name") or licence
    return ", ".join(licence) if isinstance(licence, list) else str(licence)


def _files(info: Any) -> list[_File]:
    """The files to fetch, the largest first."""
    known = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    files = []
    for name in chosen(list(known)):
        digest = known[name].lfs.sha256 if known[name].lfs is not None else ""
        blob = digest or known[name].blob_id or ""
        safe = blob if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", blob) else ""
        files.append(_File(name, known[name].size or 0, digest, safe))
    return sorted(files, key=lambda file: -file.n_bytes)


def chosen(names: Sequence[str]) -> list[str]:
    """Which files of a repository are fetched: the weights as transformers would load them, once, and what is beside.

    Repositories hold them in other formats, precisions and folders too.
    """
    top = [name for name in names if not re.search(r"[/\\:]", name)]
    if CONFIG not in top:
        raise Fault("unknown")
    weights = [name for name in top if name.endswith(".safetensors")]
    beside = [name for name in top if BESIDE.fullmatch(name)]
    if WEIGHTS in weights:
        return [WEIGHTS, *(name for name in beside if name != INDEX)]
    if INDEX not in beside or not weights:
        raise Fault("weightless")
    return [*([name for name in weights if SHARD.fullmatch(name)] or weights), *beside]


def _left(files: Sequence[_File], storage: Path, commit: str) -> int:
    """Bytes that are not here yet."""
    return sum(file.n_bytes - _here(file, storage, commit) for file in files)


def _here(file: _File, storage: Path, commit: str) -> int:
    """Bytes of a file that are here, while it may be growing."""
    grown = min(_size(_part(file, storage)), file.n_bytes) if file.blob else 0  # asked first: it moves when it is whole
    return file.n_bytes if _is_whole(file, storage, commit) else grown


def _is_whole(file: _File, storage: Path, commit: str) -> bool:
    placed = storage / "snapshots" / commit / file.name
    return placed.exists() or (bool(file.blob) and _blob(file, storage).exists())


def _blob(file: _File, storage: Path) -> Path:
    return storage / "blobs" / file.blob


def _part(file: _File, storage: Path) -> Path:
    """Where a file grows."""
    return storage / "blobs" / f"{file.blob}.part"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _fetch_all(name: str, commit: str, files: Sequence[_File], cache: Path, storage: Path) -> None:
    """Fetch what is missing. The config comes last: with it the checkpoint counts as here."""

    guards = {file.blob: threading.Lock() for file in files}  # files of one content are one in the cache

    def fetch(file: _File) -> None:
        with guards[file.blob]:
            if file.blob and not _is_whole(file, storage, commit):
                _go_on(name, commit, file, storage)
        if file.name != CONFIG:
            _hand_over(name, commit, file, cache, storage)

    pool = ThreadPoolExecutor(AT_ONCE)
    waiting = {pool.submit(fetch, file) for file in files}
    total = sum(file.n_bytes for file in files)
    while waiting:
        _say({"done": total - _left(files, storage, commit), "total": total})
        done, waiting = wait(waiting, TELL_S, FIRST_EXCEPTION)
        for future in done:
            future.result()
    _hand_over(name, commit, next(file for file in files if file.name == CONFIG), cache, storage)
    (storage / "refs").mkdir(exist_ok=True)
    (storage / "refs" / "main").write_text(commit, encoding="utf-8")
    _say({"done": total, "total": total})


def _hand_over(name: str, commit: str, file: _File, cache: Path, storage: Path) -> None:
    """Let the library put a file into the snapshot; it fetches those itself of which it is not known what they hold."""
    from huggingface_hub import hf_hub_download

    placed = Path(hf_hub_download(name, file.name, revision=commit, cache_dir=cache))
    if file.blob and not placed.is_symlink():  # a system without links, where it is a copy
        _blob(file, storage).unlink(missing_ok=True)


def _go_on(name: str, commit: str, file: _File, storage: Path) -> None:
    """Fetch a file from where it was left, in several tries while any brings something."""
    from huggingface_hub import errors, hf_hub_url

    part, url, n_idle = _part(file, storage), hf_hub_url(name, file.name, revision=commit), 0
    while True:
        before = _size(part)
        try:
            if before < file.n_bytes or not part.exists():  # else it was stopped at the very end
                _stream(url, part)
            _check(file, part)
            break
        except errors.HTTPError as error:
            n_idle = 0 if _size(part) > before else n_idle
            final = isinstance(error, errors.HfHubHTTPError) and error.response.status_code < 500
            if final or n_idle == len(PAUSES_S):
                raise
        time.sleep(PAUSES_S[n_idle])
        n_idle += 1
    part.replace(_blob(file, storage))


def _stream(url: str, part: Path) -> None:
    from huggingface_hub import constants
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    have = _size(part)
    headers = {**build_hf_headers(), "Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with get_session().stream("GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT) as response:
        hf_raise_for_status(response)
        with part.open("ab" if response.status_code == 206 else "wb") as opened:
            for chunk in response.iter_bytes():
                opened.write(chunk)


def _check(file: _File, part: Path) -> None:
    """Raises an error of the network, and takes the file away, where it is not what the hub holds."""
    from huggingface_hub import errors

    right = _size(part) == file.n_bytes
    if right and file.digest:
        with part.open("rb") as opened:
            right = hashlib.file_digest(opened, "sha256").hexdigest() == file.digest
    if not right:
        part.unlink()
        raise errors.HTTPError(f"{file.name} is damaged")


if __name__ == "__main__":
    main(sys.argv[1:])
