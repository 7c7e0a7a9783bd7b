"""A data folder in the shared layout, small enough to be made in a second: `make_tiny_data(folder)`.

Everything can be told apart by machine: photo i is of the grey value `grey(i)`, sound j is a sine of `pitch_hz(j)`.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import av
import numpy as np
from PIL import Image

from engines.protocol import RATE_HZ

PHOTOS = {
    "dog": "A dog runs in the snow .",
    "man": "A man sits on a street .",
    "woman": "A woman dances in a room .",
    "boy": "A boy throws a ball .",
    "girl": "A girl jumps into the water .",
    "beach": "The beach is empty .",
}
"""Photo id: what five people wrote about it; the second to fifth begin with "Look :"."""
CHINESE = ("小狗在雪里跑。", "男人坐在街上。", "女人在房间里跳舞。", "男孩扔球。", "女孩跳进水里。", "海滩空荡荡的。")
LABELS = ("dog_bark", "rain", "siren", "clock_tick", "rooster")
WORDS = ("one two three", "good morning")


def grey(i: int) -> int:
    return 20 + 30 * i


def pitch_hz(j: int) -> float:
    return 300.0 + 200.0 * j


def make_tiny_data(folder: Path) -> Path:
    """Photos with captions, labelled sounds, speech, pairs and a few-shot set, all of the split dev."""
    rows = [
        {"image": key, "en": [text, *[f"Look : {text}"] * 4], "zh": [CHINESE[i]], "de": [f"Bild {i} ."]}
        for i, (key, text) in enumerate(PHOTOS.items())
    ]
    write_rows(folder / "photos" / "flickr8k_dev.jsonl.gz", rows)
    images = {f"{key}.webp": webp((grey(i),) * 3) for i, key in enumerate(PHOTOS)}
    write_tar(folder / "photos" / "flickr8k_dev.tar", images)

    rows = [{"id": label, "label": label, "corpus": "esc10", "split": "dev"} for label in LABELS]
    write_rows(folder / "sounds" / "manifest.jsonl.gz", rows)
    write_tar(folder / "sounds" / "esc10-dev.tar", {f"{n}.opus": opus(pitch_hz(j)) for j, n in enumerate(LABELS)})

    line = {"speaker": "s", "corpus": "an4", "lang": "en", "split": "dev", "shard": 0}
    write_rows(
        folder / "speech" / "manifest.jsonl.gz", [{"id": f"u{k}", "text": t, **line} for k, t in enumerate(WORDS)]
    )
    spoken = {f"u{k}.opus": opus(pitch_hz(len(LABELS) + k)) for k in range(len(WORDS))}
    write_tar(folder / "speech" / "speech-00.tar", spoken)

    pairs = [
        f"{text}\tDas ist die Übersetzung {i} .\tmulti30k\t{key}.jpg" for i, (key, text) in enumerate(PHOTOS.items())
    ]
    write_lines(folder / "text" / "en-de.dev.tsv.gz", pairs)

    sheet = np.repeat(np.repeat(np.arange(6, dtype=np.uint8)[:, None] * 30 + 20, 28, 0), 7 * 28, 1)
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, "png")
    row = {"id": "Greek", "file": "Greek.png", "classes": 6, "per_class": 7, "tile": 28, "split": "dev"}
    write_rows(folder / "fewshot" / "omniglot28.jsonl.gz", [{**row, "corpus": "omniglot"}])
    write_tar(folder / "fewshot" / "omniglot28.tar", {"Greek.png": buffer.getvalue()})
    return folder


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    write_lines(path, [json.dumps(row, ensure_ascii=False) for row in rows])


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def webp(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    image = Image.new("RGB", (48, 32), colour)
    image.putpixel((5, 5), (0, 0, 0))
    image.save(buffer, "webp", lossless=True)
    return buffer.getvalue()


def opus(hz: float, seconds: float = 1.0) -> bytes:
    """Ogg Opus of a sine, mono, as the archives hold it."""
    buffer = io.BytesIO()
    times_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    samples = (8000 * np.sin(2 * np.pi * hz * times_s)).astype(np.int16)
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()
