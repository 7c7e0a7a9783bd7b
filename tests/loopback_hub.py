"""A Hugging Face hub on this machine: what huggingface_hub asks for, answered from a folder of small files."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LARGE = (".safetensors", ".bin", ".onnx")
"""Kept apart from git, by their sha256, as the hub does."""
PIECE_BYTES = 1 << 14


@dataclass(frozen=True)
class Asked:
    """A request for a file. start: where in the file it began."""

    method: str
    file: str
    start: int
    token: str


@dataclass
class LoopbackHub:
    """Repositories are the folders owner/name under `folder`.

    gated: those whose terms nobody accepted. sizes: what is told of files instead of the truth. fails: the status that
    files are answered with. cut_at: bytes of a file after which connections are lost. pause_s: after each piece.
    """

    folder: Path
    address: str = ""
    gated: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)
    fails: int = 0
    down: int = 0
    page: bytes = b""
    cut_at: int | None = None
    pause_s: float = 0.0
    takes_ranges: bool = True
    asked: list[Asked] = field(default_factory=list)

    def gets(self, file: str) -> list[int]:
        """Where in a file each download of it began."""
        return [asked.start for asked in self.asked if asked.method == "GET" and asked.file == file]

    def info(self, repo: str) -> dict[str, Any]:
        """What the hub tells of a model."""
        folder = self.folder / repo
        siblings = []
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                size = self.sizes.get(name, path.stat().st_size)
                large = {"lfs": {"sha256": etag(path), "size": size, "pointerSize": 134}} if is_large(path) else {}
                siblings.append({"rfilename": name, "size": size, "blobId": git_name(path), **large})
        card = folder / "README.md"
        found = re.search(r"^license: (.+)$", card.read_text(), re.MULTILINE) if card.is_file() else None
        return {
            "id": repo,
            "sha": commit(repo),
            "gated": "manual" if repo in self.gated else False,
            "private": False,
            "siblings": siblings,
            "cardData": {"license": found[1]} if found else {},
            "safetensors": {"parameters": {"F32": 1000}, "total": 1000},
            "tags": [],
        }


def commit(repo: str) -> str:
    return hashlib.sha1(repo.encode()).hexdigest()


def is_large(path: Path) -> bool:
    return path.suffix in LARGE


def git_name(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def etag(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if is_large(path) else git_name(path)


@contextmanager
def running(folder: Path) -> Iterator[LoopbackHub]:
    """A hub that serves `folder`."""
    hub = LoopbackHub(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if hub.down:
                self.refuse(hub.down)
            elif hub.page:
                self.answer(hub.page, "text/html")
            elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+|/auth-check)?", path):
                self.tell(found[1], found[2] or "")
            elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
                self.give(found[1], found[2])
            else:
                self.refuse(404, "EntryNotFound")

        def tell(self, repo: str, rest: str) -> None:
            if not (hub.folder / repo).is_dir():
                self.refuse(401, "RepoNotFound")
            elif rest == "/auth-check" and repo in hub.gated:
                self.refuse(403, "GatedRepo")
            else:
                self.answer(json.dumps(hub.info(repo)).encode(), "application/json")

        def give(self, repo: str, file: str) -> None:
            path = hub.folder / repo / file
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(wanted[1]) if wanted and hub.takes_ranges else 0
            hub.asked.append(Asked(self.command, file, start, self.headers.get("Authorization", "")))
            if hub.fails and self.command == "GET":
                self.refuse(hub.fails)
                return
            content = path.read_bytes()
            self.send_response(206 if start else 200)
            self.send_header("ETag", f'"{etag(path)}"')
            self.send_header("X-Repo-Commit", commit(repo))
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if self.command == "GET":
                self.pour(content, start)

        def pour(self, content: bytes, start: int) -> None:
            for begin in range(start, len(content), PIECE_BYTES):
                if hub.cut_at is not None and begin >= hub.cut_at:
                    self.close_connection = True
                    return
                try:
                    self.wfile.write(content[begin : begin + PIECE_BYTES])
                    self.wfile.flush()
                except OSError:  # who asked has gone
                    self.close_connection = True
                    return
                time.sleep(hub.pause_s)

        def answer(self, content: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def refuse(self, status: int, code: str = "") -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
