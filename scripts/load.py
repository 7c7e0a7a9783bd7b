"""Load a studio: many users with short requests beside one long recording.

    python scripts/load.py                                     20 users for 60 s on a studio that this program starts
    python scripts/load.py --users 20 --seconds 300 --minutes 120
    python scripts/load.py --url http://127.0.0.1:7860         on one that runs already (memory and stop are not seen)

Prints a table: requests and errors, how long a short request (a translation) waits when it is alone, beside the long
recording, and among all users; how fast the studio's memory grows; how soon the recording stops after its client goes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402
import numpy as np  # noqa: E402
import psutil  # noqa: E402

from engines import Cancel, Host, Request, Result, Settings, TranscribeRequest, open_host  # noqa: E402
from scripts import tables  # noqa: E402
from studio.server import start  # noqa: E402

TEXTS = ("A dog runs on the beach.", "The train leaves at nine.", "Two people sit at a table.", "It rains in the city.")
N_ALONE = 3
LIMIT_S = 600.0


@dataclass(frozen=True)
class Waits:
    """What the users saw. alone_s, beside_s: the median wait of a translation alone, and beside the recording."""

    n_requests: int
    n_errors: int
    alone_s: float
    beside_s: float
    p50_s: float
    p95_s: float
    left_at: float


class Watched:
    """A host that notes when a transcription ended."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.info = host.info
        self.ended_at = 0.0

    def stream(self, request: Request, cancel: Cancel | None = None) -> Iterator[Result]:
        if not isinstance(request, TranscribeRequest):
            return self.host.stream(request, cancel)
        return self._watched(request, cancel)

    def _watched(self, request: Request, cancel: Cancel | None) -> Iterator[Result]:
        try:
            yield from self.host.stream(request, cancel)
        finally:
            self.ended_at = time.time()

    def move(self, device: str) -> None:
        self.host.move(device)

    def close(self) -> None:
        self.host.close()


# --- the users, in a process beside the studio ------------------------------------------------------------------------


async def ask(client: httpx.AsyncClient, name: str, values: dict[str, object]) -> bool:
    """Call a task and wait for its last result; whether it came."""
    try:
        called = await client.post(f"/gradio_api/call/v2/{name}", json=values)
        if called.status_code != 200:
            return False
        async with client.stream("GET", f"/gradio_api/call/{name}/{called.json()['event_id']}") as said:
            async for line in said.aiter_lines():
                if line.startswith(("event: complete", "event: error")):
                    return line == "event: complete"
    except httpx.HTTPError:
        pass
    return False


async def timed(client: httpx.AsyncClient, n: int) -> tuple[float, bool]:
    begun_s = time.perf_counter()
    good = await ask(client, "translate", {"text": TEXTS[n % len(TEXTS)], "target": ("de", "fr", "zh")[n % 3]})
    return time.perf_counter() - begun_s, good


async def use(url: str, n_users: int, seconds: float, recording: Path) -> Waits:
    """Be the users of a studio."""
    limits = httpx.Limits(max_connections=4 * n_users + 8)
    async with httpx.AsyncClient(base_url=url, timeout=LIMIT_S, limits=limits) as client:
        alone = [await timed(client, n) for n in range(N_ALONE)]
        sent = await client.post("/gradio_api/upload", files={"files": (recording.name, recording.read_bytes())})
        file = {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}
        long = asyncio.create_task(ask(client, "transcribe", {"file": file}))
        await asyncio.sleep(2.0)
        beside = [await timed(client, n) for n in range(N_ALONE)]
        waits: list[tuple[float, bool]] = []
        end_s = time.perf_counter() + seconds

        async def user(n: int) -> None:
            while time.perf_counter() < end_s:
                waits.append(await timed(client, n))
                n += 1

        users = [asyncio.create_task(user(n)) for n in range(n_users)]
        await asyncio.sleep(seconds)
        left_at = time.time()
        still_running = not long.done()
        long.cancel()
        await asyncio.gather(*users)
    every = [*alone, *beside, *waits]
    loaded = sorted(wait_s for wait_s, good in waits if good)
    return Waits(
        n_requests=len(every),
        n_errors=sum(not good for _, good in every),
        alone_s=statistics.median(wait_s for wait_s, _ in alone),
        beside_s=statistics.median(wait_s for wait_s, _ in beside),
        p50_s=loaded[len(loaded) // 2],
        p95_s=loaded[int(0.95 * (len(loaded) - 1))],
        left_at=left_at if still_running else 0.0,
    )


def write_recording(path: Path, minutes: float) -> Path:
    """A recording in which somebody seems to speak: bursts of noise at the pace of syllables, with pauses."""
    rate_hz = 16_000
    times_s = np.arange(60 * rate_hz) / rate_hz
    speech = np.random.default_rng(0).normal(0.0, 0.1, len(times_s))
    speech *= (np.sin(2 * np.pi * 4.0 * times_s) > 0) * (times_s % 8.0 < 6.5)
    minute = (np.clip(speech, -1.0, 1.0) * 32767).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate_hz, 0, "NONE", ""))
        for _ in range(max(1, round(minutes))):
            file.writeframes(minute)
    return path


# --- the studio, and what is seen of it -------------------------------------------------------------------------------


class Memory:
    """Samples this process's memory each second."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float]] = []
        self._over = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        process = psutil.Process()
        while not self._over.wait(1.0):
            self.samples.append((time.time(), process.memory_info().rss / 2**20))

    def close(self) -> None:
        self._over.set()

    def slope(self) -> float:
        """MB a minute over the second half of the run, by least squares: the first half fills caches."""
        half = np.array(self.samples[len(self.samples) // 2 :])
        return float(np.polyfit(half[:, 0] - half[0, 0], half[:, 1], 1)[0] * 60.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20, help="users at once (default: 20)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long they go on (default: 60)")
    parser.add_argument("--minutes", type=float, default=30.0, help="length of the long recording (default: 30)")
    parser.add_argument("--model", default="builtin", help="the model of the studio that is started (default: builtin)")
    parser.add_argument("--url", help="a studio that runs already")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON, for scripts.tables")
    parser.add_argument("--recording", type=Path, help=argparse.SUPPRESS)  # given to the users' own process
    options = parser.parse_args()
    if options.recording is not None:
        print(json.dumps(asdict(asyncio.run(use(options.url, options.users, options.seconds, options.recording)))))
        return
    slope: float | None = None
    stop_s: float | None = None
    with tempfile.TemporaryDirectory() as folder:
        recording = write_recording(Path(folder) / "recording.wav", options.minutes)
        if options.url is not None:
            waits = users(options.url, options, recording)
        else:
            watched = Watched(open_host(options.model, Settings()))
            with start(watched, home=Path(folder) / "home", devices=("cpu",), mcp=False) as served:
                memory = Memory()
                waits = users(served.url, options, recording)
                memory.close()
                time.sleep(5.0)
                slope = memory.slope()
                stop_s = watched.ended_at - waits.left_at if waits.left_at else None
    given = {name: getattr(options, name) for name in ("users", "seconds", "minutes")}
    found = {**given, "waits": asdict(waits), "slope": slope, "stop_s": stop_s}
    print(tables.load(found, "en"), end="")
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def users(url: str, options: argparse.Namespace, recording: Path) -> Waits:
    """Run the users in a process of their own, so that the studio's memory and time are its own."""
    given = ["--url", url, "--users", options.users, "--seconds", options.seconds, "--recording", recording]
    command = [sys.executable, __file__, *map(str, given)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Waits(**json.loads(done.stdout.strip().splitlines()[-1]))


if __name__ == "__main__":
    main()
