"""An object store on loopback: as much of S3 as LanceDB speaks, for one bucket called "media" and one key."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

KEY = "someone"


@contextmanager
def serving() -> Iterator[tuple[str, dict[str, bytes]]]:
    """The store's address, and its objects by name."""
    objects: dict[str, bytes] = {}
    lock = threading.Lock()

    class Store(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if not self._admitted():
                return
            if "list-type" in query:
                self._answer(200, _listing(objects, query))
                return
            data = objects.get(self._name())
            if data is None:
                self._answer(404)
                return
            span = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
            if span is None:
                self._answer(200, data)
                return
            first = int(span[1]) if span[1] else len(data) - int(span[2])
            part = data[first : int(span[2]) + 1 if span[1] and span[2] else None]
            self._answer(206, part, {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(data)}"})

        do_HEAD = do_GET

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            if self._admitted():
                with lock:
                    taken = self.headers.get("If-None-Match") == "*" and self._name() in objects
                    if not taken:
                        objects[self._name()] = data
                self._answer(412 if taken else 200)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if self._admitted():
                names = re.findall("<Key>(.*?)</Key>", body)
                for name in names:
                    objects.pop(name, None)
                gone = "".join(f"<Deleted><Key>{name}</Key></Deleted>" for name in names)
                self._answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode())

        def _name(self) -> str:
            return unquote(urlsplit(self.path).path).removeprefix("/media/")

        def _admitted(self) -> bool:
            known = f"Credential={KEY}/" in self.headers.get("Authorization", "")
            there = urlsplit(self.path).path.split("/")[1] == "media"
            if not known or not there:
                self._answer(404 if known else 403)
            return known and there

        def _answer(self, status: int, data: bytes = b"", headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), "ETag": '"1"', **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Last-Modified", "Tue, 24 Nov 2026 20:00:00 GMT")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", objects
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _listing(objects: dict[str, bytes], query: dict[str, list[str]]) -> bytes:
    """What ListObjectsV2 says, all of it in one go."""
    prefix, after = query.get("prefix", [""])[0], query.get("start-after", [""])[0]
    names = sorted(name for name in list(objects) if name.startswith(prefix) and name > after)
    folders: set[str] = set()
    if "delimiter" in query:
        deep = [name for name in names if "/" in name[len(prefix) :]]
        folders = {prefix + name[len(prefix) :].split("/")[0] + "/" for name in deep}
        names = [name for name in names if name not in deep]
    stamp = "<LastModified>2026-11-24T20:00:00.000Z</LastModified><ETag>1</ETag>"
    parts = [f"<Contents><Key>{escape(n)}</Key><Size>{len(objects[n])}</Size>{stamp}</Contents>" for n in names]
    parts += [f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in sorted(folders)]
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(parts)}</ListBucketResult>".encode()
