"""Hostile files, made by a seed and by type, given to the readers: what each costs and whether it gets its sentence.

    python -m scripts.hostile_files [--full] [--seed N] [--files N] [--kills N] [--out FILE]

Counts crashes, requests over 10 s of CPU or 1.5 GB, files read that were only pointed at, and answers that are neither
a medium nor one sentence in both languages. Then kills an indexing process at random times and counts what is lost.
Linux only: what a decoder takes is read from /proc.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import wave
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from engines import media
from engines.errors import CollectionError, MediaError
from engines.index import open_collection
from engines.media import child
from engines.paths import ASSETS
from scripts import hostile_pictures, tables

CPU_S, MEMORY_BYTES = 10.0, 1.5 * 2**30
DEFAULT, FULL = (160, 5), (1_000, 50)
"""How many files and kills, by default and with --full."""

READERS: tuple[Callable[[Path], object], ...] = (
    media.probe,
    media.load_photo,
    media.load_clip,
    lambda path: media.load_sound(path, max_s=60.0),
)
CRASHES = {
    -getattr(signal, name) for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL") if hasattr(signal, name)
}
"""Return codes of a decoder that broke; its limit of time ends it with another signal."""

Bytes = Callable[[random.Random], bytes]


@dataclass
class FileTally:
    """What became of the files of one type."""

    n: int = 0
    n_read: int = 0
    crashes: int = 0
    slow: int = 0
    large: int = 0
    outside: int = 0
    unsaid: int = 0
    most_cpu_s: float = 0.0
    most_bytes: int = 0


# --- files -------------------------------------------------------------------------------------------------------


def _picture(rng: random.Random, form: str) -> bytes:
    pixels = np.random.default_rng(rng.randrange(2**32)).integers(0, 255, (60, 80, 3), np.uint8)
    frames = [Image.fromarray(np.roll(pixels, n, 0)) for n in range(3)]
    held = io.BytesIO()
    moves = form in ("GIF", "WEBP") or (form == "PNG" and rng.random() < 0.5)
    frames[0].save(held, form, **({"save_all": True, "append_images": frames[1:]} if moves else {}))
    return held.getvalue()


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, n_frames: int = 1, colour: int = 6) -> bytes:
    """A PNG as large as it says, of zeros, perhaps with many frames as large."""
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    deflate = zlib.compressobj(9)
    row = bytes(1 + width * {0: 1, 2: 3, 6: 4}[colour])
    data = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    body = _chunk(b"acTL", struct.pack(">II", n_frames, 0)) if n_frames > 1 else b""
    for n in range(n_frames if n_frames > 1 else 0):
        body += _chunk(b"fcTL", struct.pack(">IIIIIHHBB", max(0, 2 * n - 1), width, height, 0, 0, 1, 50, 0, 0))
        body += _chunk(b"IDAT", data) if n == 0 else _chunk(b"fdAT", struct.pack(">I", 2 * n) + data)
    return b"\x89PNG\r\n\x1a\n" + head + (body or _chunk(b"IDAT", data)) + _chunk(b"IEND", b"")


def gif(width: int, height: int, n_frames: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"!\xf9\4\x08\1\0\0\0," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    return head + frame * n_frames + b";"


def _wav(rng: random.Random) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(rng.choice((1, 2)))
        file.setsampwidth(2)
        file.setframerate(rng.choice((8_000, 44_100, 192_000)))
        file.writeframes(rng.randbytes(4 * rng.randrange(1, 20_000)))
    return held.getvalue()


def _zip(rng: random.Random) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../photo.jpg", bytes(rng.randrange(1, 2**22)))
    return held.getvalue()


def _worn(data: bytes, rng: random.Random) -> bytes:
    """A file with bytes changed, left out, repeated or cut off."""
    worn = bytearray(data)
    for _ in range(rng.randrange(1, 12)):
        at = rng.randrange(len(worn))
        match rng.randrange(5):
            case 0:
                worn[at] ^= 1 << rng.randrange(8)
            case 1:
                worn[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
            case 2:
                del worn[at : at + rng.randrange(1, 64)]
            case 3:
                worn[at:at] = worn[at : at + rng.randrange(1, 512)] * rng.randrange(1, 8)
            case 4 if at > 16:
                del worn[at:]
        if not worn:
            return b"\0"
    return bytes(worn)


def _images(rng: random.Random) -> bytes:
    if rng.random() < 0.15:
        side = rng.choice((9_400, 16_000, 60_000))
        return png(side, min(side, 9_400), colour=rng.choice((0, 2, 6))) if side == 9_400 else png(side, 1)
    return _worn(_picture(rng, rng.choice(("JPEG", "PNG", "BMP", "TIFF", "WEBP", "PPM", "AVIF"))), rng)


def _animations(rng: random.Random) -> bytes:
    match rng.randrange(6):
        case 0:
            return gif(rng.choice((9_000, 30_000)), rng.choice((9_000, 30_000)), rng.randrange(2, 200))
        case 1:
            return gif(1, 1, rng.choice((1_000, 300_000)))
        case 2:
            return gif(5_000, 5_000, rng.choice((20, 2_000)))
        case 3:
            return png(rng.choice((300, 3_000)), 3_000, n_frames=rng.choice((3, 40)))
    return _worn(_picture(rng, rng.choice(("GIF", "PNG", "WEBP"))), rng)


def _newer(rng: random.Random, bomb: Bytes, forms: tuple[str, ...], *, moves: bool) -> bytes:
    """A bomb, or a small file that is worn, ends early or lies."""
    if (draw := rng.random()) < 0.3:
        return bomb(rng)
    form = rng.choice(forms)
    data = hostile_pictures.small(rng, form, moves=moves)
    if draw < 0.5:
        return data[: rng.randrange(1, len(data))]
    return _worn(data, rng) if draw < 0.75 else hostile_pictures.lying(rng, data, form)


def _sounds(rng: random.Random) -> bytes:
    return (
        _worn(_wav(rng), rng)
        if rng.random() < 0.8
        else rng.choice((b"ID3\4\0\0\x7f\x7f\x7f\x7f", b"OggS", b"fLaC")) + (rng.randbytes(rng.randrange(1, 60_000)))
    )


def _clips(rng: random.Random) -> bytes:
    samples = sorted((Path(__file__).resolve().parents[1] / "assets" / "samples").glob("*.mp4"))
    data = rng.choice(samples).read_bytes() if samples else b"\0\0\0\x18ftypmp42" + rng.randbytes(4_096)
    return _worn(data[: rng.randrange(1_000, len(data))] if rng.random() < 0.3 else data, rng)


def _lists(rng: random.Random) -> bytes:
    other = rng.choice(("{outside}", "file://{outside}", "http://127.0.0.1:9/x.mp4", "concat:{outside}|{outside}"))
    form = rng.choice(
        ("#EXTM3U\n#EXTINF:10,\n{o}\n", "ffconcat version 1.0\nfile '{o}'\n", "[playlist]\nFile1={o}\n", "{o}\n",
         "<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><image href='{o}'/></svg>",
         "<?xml version='1.0'?><MPD><BaseURL>{o}</BaseURL></MPD>",
         "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n")
    )  # fmt: skip
    return form.replace("{o}", other).encode()


TYPES: dict[str, tuple[Bytes, tuple[str, ...]]] = {
    "images": (_images, ("jpg", "png", "tif")),
    "animations": (_animations, ("gif", "png", "webp")),
    "newer images": (
        lambda rng: _newer(rng, hostile_pictures.still_bomb, hostile_pictures.FORMS, moves=False),
        ("jp2", "webp", "avif", "heic", "jpg"),
    ),
    "newer animations": (
        lambda rng: _newer(rng, hostile_pictures.moving_bomb, hostile_pictures.MOVING_FORMS, moves=True),
        ("webp", "avif", "heic", "hif"),
    ),
    "sounds": (_sounds, ("wav", "mp3", "ogg")),
    "clips": (_clips, ("mp4", "mkv", "avi")),
    "archives": (_zip, ("jpg", "mp4", "zip")),
    "names": (lambda rng: _worn(_picture(rng, "PNG"), rng), ("png",)),
    "links": (lambda _: b"", ("wav", "jpg")),
    "lists": (_lists, ("m3u8", "mp4", "pls", "svg", "jpg", "txt")),
}
_NAMES = (
    "http:",
    "concat:a|b",
    "-i",
    "x%03d",
    "图片 ü'\"",
    "~",
    "a\nb",
    "$(id)",
    "subfile,,start,0,end,9,,:",
    "\udcff",
)
_TARGETS = ("/dev/zero", "/dev/stdin", "/proc/self/mem", "/proc/kmsg", "/etc/passwd", "loop", "fifo", "/")


def _made(kind: str, folder: Path, n: int, rng: random.Random, outside: Path) -> Path:
    make, suffixes = TYPES[kind]
    name = rng.choice(_NAMES) if kind == "names" else "file"
    path = folder / f"{n}{name}.{rng.choice(suffixes)}"
    if kind == "links":
        target = rng.choice(_TARGETS)
        if target == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to(path.name if target == "loop" else target)
        return path
    path.write_bytes(make(rng).replace(b"{outside}", os.fsencode(outside)))
    return path


# --- readers -----------------------------------------------------------------------------------------------------


def _spent(pid: int) -> tuple[float, int]:
    """Seconds of CPU and the most memory of a process, (0, 0) where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0, 0
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak.split()[1]) * 1024


@contextmanager
def _watched(process: subprocess.Popen[bytes]) -> Iterator[list[tuple[float, int]]]:
    """What a process has spent, looked at every 10 ms: once it has died nothing tells its memory any more."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5", encoding="ascii")  # reset the peak memory
    spent = [_spent(process.pid)]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            spent.append(_spent(process.pid))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield spent
    finally:
        over.set()
        looking.join()
        spent.append(_spent(process.pid))


def _decoder() -> subprocess.Popen[bytes]:
    """The process that the next file is given to."""
    if not child._idle:
        media.probe(ASSETS / "samples" / "dog.jpg")
    return child._idle[-1].process


def _tried(path: Path, row: FileTally, *, is_pointer: bool) -> None:
    """Read a file in every way the studio reads media, and count what it costs. A decoder that a signal other than the
    limit of its time has ended is a crash, though the studio lives on and calls the file damaged."""
    for read in READERS:
        decoder = _decoder()
        before_s, _ = _spent(decoder.pid)
        try:
            with _watched(decoder) as spent:
                read(path)
        except MediaError as error:
            row.unsaid += not (error.en and error.zh and error.en != error.zh)
        except Exception as error:  # noqa: BLE001  (whatever else comes is a crash, to be counted)
            print(f"{path.name!r}: {type(error).__name__}: {str(error)[-300:]}", file=sys.stderr)
            row.crashes += 1
        else:
            row.n_read += 1
            row.outside += is_pointer
        row.crashes += decoder.poll() in CRASHES
        whole_s, n_bytes = max(each for each, _ in spent), max(each for _, each in spent)
        cpu_s = whole_s - before_s
        row.most_cpu_s, row.most_bytes = max(row.most_cpu_s, cpu_s), max(row.most_bytes, n_bytes)
        row.slow += cpu_s > CPU_S
        row.large += n_bytes > MEMORY_BYTES


def measure(n_files: int, seed: int) -> dict[str, FileTally]:
    """Every type in turn, `n_files` in all."""
    rng, rows = random.Random(seed), {kind: FileTally() for kind in TYPES}  # noqa: S311  (a seed is what is wanted)
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as other:
        outside = Path(other) / "outside.wav"
        outside.write_bytes(_wav(rng))
        media.probe(outside)
        for n in range(n_files):
            kind = list(TYPES)[n % len(TYPES)]
            path = _made(kind, Path(scratch), n, rng, outside)
            rows[kind].n += 1
            _tried(path, rows[kind], is_pointer=kind in ("links", "lists"))
            path.unlink()
    return rows


def kills(n_kills: int, seed: int) -> tuple[int, int]:
    """Kill an indexing process at random times; rows that a kill takes, or that are lost or doubled at the end, and
    files in all."""
    lost = 0
    rng = random.Random(seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as scratch:
        folder, collection = Path(scratch, "media"), Path(scratch, "my.db")
        folder.mkdir()
        n_texts = 40 + 10 * n_kills
        for n in range(n_texts):
            (folder / f"{n}.txt").write_text(f"Text number {n} is about {rng.random()}.", encoding="utf-8")
        program = (
            "import sys; from pathlib import Path; from engines import IndexRequest, open_host, run; "
            "run(open_host(), IndexRequest(folder=Path(sys.argv[1]), collection=Path(sys.argv[2])))"
        )
        command = [sys.executable, "-c", program, str(folder), str(collection)]
        root = Path(__file__).resolve().parents[1]
        for _ in range(n_kills):
            with subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL) as process:
                before = _rows(collection)
                deadline = time.monotonic() + 120
                while process.poll() is None and _rows(collection) == before and time.monotonic() < deadline:
                    time.sleep(0.05)
                time.sleep(rng.random() * 0.3)
                told = _rows(collection)
                process.kill()
                process.wait()
                lost += max(0, told - _rows(collection))
        subprocess.run(command, cwd=root, check=True)
        return lost + abs(_rows(collection) - n_texts), n_texts


def _rows(where: Path) -> int:
    try:
        with open_collection(where) as collection:
            return collection.n_rows
    except CollectionError:  # it is not there yet
        return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.hostile_files", description=__doc__)
    parser.add_argument("--full", action="store_true", help=f"{FULL[0]} files and {FULL[1]} kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, help="how many files instead")
    parser.add_argument("--kills", type=int, help="how many kills instead")
    parser.add_argument("--out", type=Path, help="also write what was counted as JSON, for scripts.tables")
    options = parser.parse_args(arguments)
    n_files, n_kills = FULL if options.full else DEFAULT
    began_s = time.perf_counter()
    rows = measure(n_files if options.files is None else options.files, options.seed)
    n_kills = n_kills if options.kills is None else options.kills
    lost, n_texts = kills(n_kills, options.seed) if n_kills else (0, 0)
    found = {
        "seed": options.seed,
        "types": {kind: asdict(row) for kind, row in rows.items()},
        "kills": {"n": n_kills, "files": n_texts, "lost": lost},
    }
    print(tables.trust(found, "en"), end="")
    print(f"\n{time.perf_counter() - began_s:.0f} s")
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    bad = sum(row.crashes + row.slow + row.large + row.outside + row.unsaid for row in rows.values()) + lost
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
