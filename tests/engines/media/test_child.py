"""Files are read in a process of their own: what happens to it happens to one file only."""

from __future__ import annotations

import contextvars
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from engines import media
from engines.errors import Cancelled, MediaError
from engines.media import budget, child, reading
from engines.protocol import current_client
from tests.engines.media.makers import film

WAIT_S = 60.0
"""How long a busy machine may take for anything; nothing is asserted about it."""
needs_signals = pytest.mark.skipif(os.name == "nt", reason="no SIGSTOP there")


@pytest.fixture(autouse=True)
def _one_child_at_most() -> None:
    """To begin one costs more than most of these tests."""
    end_idle(1)


def end_idle(n_left: int = 0) -> None:
    while len(child._idle) > n_left:
        child._idle.pop().end()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def the_child() -> child._Child:
    """The one that waits for work."""
    (only,) = child._idle
    return only


@pytest.fixture
def clip_file(tmp_path) -> Path:
    return film(tmp_path / "clip.mp4")


@pytest.fixture
def photo_file(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", (6, 4), (10, 20, 30)).save(path)
    return path


def test_what_comes_out_is_what_reading_here_would_give(clip_file, photo_file):
    assert media.probe(clip_file) == reading.probe(clip_file)
    assert np.array_equal(media.load_photo(photo_file).pixels, reading.load_photo(photo_file).pixels)
    there, here = media.load_sound(clip_file, max_s=0.5), reading.load_sound(clip_file, max_s=0.5)
    assert np.array_equal(there.samples, here.samples) and there.rate_hz == here.rate_hz
    clip, same = media.load_clip(clip_file, n_frames=3), reading.load_clip(clip_file, n_frames=3)
    assert (clip.times_s, clip.duration_s) == (same.times_s, same.duration_s)
    assert isinstance(clip.frames, tuple) and all(map(np.array_equal, clip.frames, same.frames))
    assert clip.sound is not None and same.sound is not None
    assert np.array_equal(clip.sound.samples, same.sound.samples)
    chunks = list(media.stream_sound(clip_file, chunk_s=0.3))
    assert np.array_equal(np.concatenate(chunks), reading.load_sound(clip_file).samples)
    clip.frames[0][0], there.samples[0] = 0, 0  # may be written to


def test_one_child_reads_one_file_after_another(clip_file, photo_file):
    media.probe(clip_file)
    first = the_child()
    assert first.process.pid != os.getpid()
    media.load_photo(photo_file)
    list(media.stream_sound(clip_file))
    assert the_child() is first


def test_a_refusal_comes_back_in_both_languages_and_the_child_goes_on(tmp_path, photo_file):
    (tmp_path / "empty.mp3").touch()
    media.probe(photo_file)
    first = the_child()
    for read in (media.probe, media.load_photo, lambda path: list(media.stream_sound(path))):
        with pytest.raises(MediaError) as caught:
            read(tmp_path / "empty.mp3")
        assert caught.value.en == "empty.mp3 is empty (0 bytes); record or download it again."
    assert the_child() is first


def test_a_relative_name_is_looked_up_where_the_caller_is(photo_file, tmp_path, monkeypatch):
    media.probe(photo_file)
    monkeypatch.chdir(tmp_path)
    assert media.probe(Path("photo.png")).width == 6


def test_a_defect_of_ours_is_no_sentence_and_tells_where_it_was(clip_file):
    with pytest.raises(RuntimeError, match=r"(?s)reading failed in the child.*ValueError: n_frames is 0"):
        media.load_clip(clip_file, n_frames=0)
    assert media.probe(clip_file).kind == "clip"


def test_a_stream_left_half_way_leaves_the_child_ready(clip_file):
    stream = media.stream_sound(clip_file, chunk_s=0.1)
    next(stream)
    assert not child._idle
    del stream
    gc.collect()
    first = the_child()
    assert media.probe(clip_file).kind == "clip" and the_child() is first


def test_threads_read_side_by_side_and_only_two_children_are_kept(tmp_path):
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for n, path in enumerate(paths):
        Image.new("L", (4, 4), 80 * n).save(path)
    seen: dict[int, int] = {}

    def read(n: int) -> None:
        seen[n] = int(media.load_photo(paths[n]).pixels[0, 0, 0])

    threads = [threading.Thread(target=read, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {n: 80 * n for n in range(3)}
    assert 1 <= len(child._idle) <= 2


def test_a_child_that_dies_in_the_middle_costs_one_sentence(clip_file):
    media.probe(clip_file)
    first = the_child()
    stream = media.stream_sound(clip_file, chunk_s=0.1)
    next(stream)
    first.process.kill()
    with pytest.raises(MediaError) as caught:
        next(stream)
    assert caught.value.en == "clip.mp4 is damaged or cut short and cannot be read; export or download it again."
    assert media.probe(clip_file).kind == "clip"
    assert the_child() is not first


def test_a_child_that_was_killed_while_it_waited_is_replaced(clip_file):
    media.probe(clip_file)
    first = the_child()
    first.process.kill()
    first.process.wait()
    assert media.probe(clip_file).kind == "clip"
    assert the_child() is not first


@needs_signals
def test_a_child_that_hangs_is_given_up_and_that_it_took_too_long_is_said(clip_file, monkeypatch):
    media.probe(clip_file)
    first = the_child()
    monkeypatch.setattr(child, "PATIENCE_S", 0.2)
    monkeypatch.setattr(budget, "BASE_S", 0.0)
    first.process.send_signal(signal.SIGSTOP)
    with pytest.raises(MediaError, match=r"^clip\.mp4 took too long to read and was given up"):
        media.probe(clip_file)
    assert first.process.returncode == -signal.SIGKILL
    monkeypatch.undo()
    assert media.probe(clip_file).kind == "clip"


@needs_signals
def test_a_stop_ends_the_process_that_works_for_it_at_once(clip_file):
    media.probe(clip_file)
    first = the_child()
    first.process.send_signal(signal.SIGSTOP)  # a decoder that takes for ever
    stop, raised = child.Stop(), []

    def decode() -> None:
        child.current_stop.set(stop)
        try:
            media.probe(clip_file)
        except Cancelled as error:
            raised.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(decode,))
    thread.start()
    wait_until(lambda: bool(stop._children))
    stop.set()
    thread.join(WAIT_S)
    assert raised and first.process.returncode == -signal.SIGKILL
    assert media.probe(clip_file).kind == "clip"


@needs_signals
def test_a_long_request_makes_room_for_the_next(clip_file, photo_file, monkeypatch):
    places = child.Places(1, 2)
    monkeypatch.setattr(child, "_requests", places)
    monkeypatch.setattr(child, "LONG_S", 0.1)
    media.probe(clip_file)
    stuck = the_child()
    stuck.process.send_signal(signal.SIGSTOP)
    thread = threading.Thread(target=lambda: media.probe(clip_file))
    thread.start()
    wait_until(lambda: not child._idle)
    assert media.load_photo(photo_file).pixels.shape == (4, 6, 3)
    assert thread.is_alive()
    stuck.process.send_signal(signal.SIGCONT)
    thread.join(WAIT_S)
    assert not thread.is_alive() and (places.n_free, places.n_free_long) == (1, 2)


def test_no_more_requests_are_decoded_at_once_than_there_are_places(photo_file, monkeypatch):
    monkeypatch.setattr(child, "_requests", child.Places(1))
    monkeypatch.setattr(child, "LONG_S", 600.0)
    running, most, ask = 0, 0, child._receive

    def watched(pipe: object) -> object:
        nonlocal running, most
        running += 1
        most = max(most, running)
        answer = ask(pipe)
        running -= 1
        return answer

    monkeypatch.setattr(child, "_receive", watched)
    threads = [threading.Thread(target=media.probe, args=(photo_file,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_however_many_files_are_asked_for_there_are_no_more_processes_than_places(tmp_path, monkeypatch):
    """Each file is one whose decoding only ends when all the others have been asked for."""
    places = child.Places(1, 1)
    monkeypatch.setattr(child, "_requests", places)
    monkeypatch.setattr(child, "LONG_S", 600.0)
    end_idle()
    begun: list[child._Child] = []
    alive: list[int] = []
    first, all_ask, begin = threading.Event(), threading.Event(), child._Child.__init__

    def counted(self: child._Child) -> None:
        begin(self)
        begun.append(self)
        alive.append(sum(each.process.poll() is None for each in begun))
        first.set()

    ask = child._Child.ask

    def slow(self: child._Child, *args: object) -> object:
        assert all_ask.wait(WAIT_S)
        return ask(self, *args)

    monkeypatch.setattr(child._Child, "__init__", counted)
    monkeypatch.setattr(child._Child, "ask", slow)
    files = [tmp_path / f"{n}.png" for n in range(30)]
    for file in files:
        Image.new("RGB", (6, 4)).save(file)
    with ThreadPoolExecutor(len(files)) as asking:
        asked = [asking.submit(media.probe, file) for file in files]
        assert first.wait(WAIT_S)
        wait_until(lambda: sum(map(len, places._waiting.values())) == len(files) - 1 or len(begun) > 2)
        all_ask.set()
    assert all(each.result().width == 6 for each in asked)
    assert max(alive) == 1 and len(child._idle) == 1


class Visitors:
    """Clients that ask for places, one thread for each request, and leave them when they are told to."""

    def __init__(self, places: child.Places) -> None:
        self.places = places
        self.begun: list[str] = []
        self._leaves: dict[str, threading.Event] = {}
        self._threads: dict[str, threading.Thread] = {}

    def ask(self, client: str, name: str) -> None:
        """Let a client ask; its request waits, or has begun, when this returns."""
        leave = self._leaves[name] = threading.Event()

        def hold() -> None:
            current_client.set(client)
            with self.places.turn():
                self.begun.append(name)
                leave.wait(60)

        self._threads[name] = threading.Thread(target=contextvars.copy_context().run, args=(hold,))
        self._threads[name].start()
        wait_until(self._has_settled)

    def leave(self, name: str) -> None:
        """End a request; whoever may begin then has begun when this returns."""
        self._leaves[name].set()
        self._threads[name].join(60)
        wait_until(self._has_settled)

    def end(self) -> None:
        for leave in self._leaves.values():
            leave.set()
        for thread in self._threads.values():
            thread.join(60)

    def _has_settled(self) -> bool:
        with self.places._changed:
            n_waiting = sum(map(len, self.places._waiting.values()))
            is_full = self.places.n_free == 0 or self.places._next() is None
        return is_full and len(self.begun) + n_waiting == len(self._threads)


@pytest.fixture
def visitors(monkeypatch) -> Iterator[Callable[[child.Places], Visitors]]:
    monkeypatch.setattr(child, "LONG_S", 600.0)
    made: list[Visitors] = []

    def make(places: child.Places) -> Visitors:
        made.append(Visitors(places))
        return made[-1]

    yield make
    for each in made:
        each.end()


def test_clients_that_wait_take_turns_however_many_files_one_of_them_sends(visitors):
    seen = visitors(child.Places(2))
    for name in ("x1", "y1", "x2", "x3", "x4", "y2", "z1"):
        seen.ask(name[0], name)
    assert seen.begun == ["x1", "y1"]
    for name in ("x1", "y1", "x2", "y2"):
        seen.leave(name)
    assert seen.begun == ["x1", "y1", "x2", "y2", "z1", "x3"]


def test_no_client_has_the_last_place(visitors):
    seen = visitors(child.Places(3))
    for n in range(1, 5):
        seen.ask("greedy", f"heavy {n}")
    assert seen.begun == ["heavy 1", "heavy 2"]
    seen.ask("other", "light")  # begins while nothing of the greedy one has ended
    assert seen.begun == ["heavy 1", "heavy 2", "light"]


def test_a_client_that_gives_up_waiting_holds_up_nobody(visitors):
    places = child.Places(1)
    seen = visitors(places)
    seen.ask("x", "x1")
    stop, raised = child.Stop(), threading.Event()

    def give_up() -> None:
        current_client.set("y")
        child.current_stop.set(stop)
        with pytest.raises(Cancelled), places.turn():
            pass
        raised.set()

    threading.Thread(target=contextvars.copy_context().run, args=(give_up,)).start()
    wait_until(lambda: "y" in places._waiting)
    stop.set()
    assert raised.wait(60)
    seen.ask("z", "z1")
    seen.leave("x1")
    assert seen.begun == ["x1", "z1"]


@pytest.mark.slow
@needs_signals
def test_a_file_that_takes_more_time_than_its_size_allows_is_given_up_with_a_true_sentence(photo_file, monkeypatch):
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from engines.media import budget, child, reading; "
        "budget.BASE_S = 0.1; reading.probe = lambda path: [0 for _ in iter(int, 1)]; child.serve()"
    )
    end_idle()
    monkeypatch.setattr(child, "_PROGRAM", program)
    with pytest.raises(MediaError) as caught:
        media.probe(photo_file)
    assert caught.value.en == (
        "photo.png takes too long to decode for its size and was given up; save it anew in a usual format."
    )


@needs_signals
def test_a_ctrl_c_is_for_the_parent(clip_file):
    media.probe(clip_file)
    first = the_child()
    first.process.send_signal(signal.SIGINT)
    assert media.probe(clip_file).kind == "clip" and the_child() is first


def test_an_interrupted_question_does_not_leave_its_answer_to_the_next(clip_file, photo_file, monkeypatch):
    media.probe(clip_file)
    first = the_child()

    def interrupted(pipe: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(child, "_receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        media.probe(clip_file)
    monkeypatch.undo()
    assert first.process.returncode is not None
    assert media.probe(photo_file).kind == "photo"


@pytest.mark.parametrize(
    "says",
    [
        "print('hello')",
        "sys.stdout.buffer.write(b'\\0\\0\\0\\2{]')",
        'm = b\'{"value": {"array": ["|O8", 1]}}\' + bytes(8); sys.stdout.buffer.write(struct.pack(\'>I\', 31) + m)',
        'm = b\'{"value": {"record": "Path", "of": {}}}\'; sys.stdout.buffer.write(struct.pack(\'>I\', len(m)) + m)',
        "raise SystemExit(3)",
    ],
    ids=["chatter", "no json", "objects", "unknown record", "nothing"],
)
def test_a_child_that_says_what_it_may_not_is_not_believed(clip_file, monkeypatch, says):
    end_idle()
    monkeypatch.setattr(child, "_PROGRAM", f"import struct, sys; {says}; sys.stdout.flush(); sys.stdin.read()")
    monkeypatch.setattr(child, "PATIENCE_S", 10)
    with pytest.raises(MediaError, match=r"clip\.mp4 is damaged"):
        media.probe(clip_file)
    assert not child._idle


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="this system does not show limits")
def test_the_child_may_not_write_files_nor_swell(clip_file):
    media.probe(clip_file)
    lines = Path(f"/proc/{the_child().process.pid}/limits").read_text().splitlines()
    soft = {line[:26].strip(): line[26:].split()[0] for line in lines}
    assert soft["Max file size"] == soft["Max core file size"] == "0"
    assert soft["Max address space"] == str(child.MEMORY_BYTES)


def test_where_no_process_can_be_started_files_are_read_here(clip_file, monkeypatch):
    def refuse(*args: object, **options: object) -> None:
        raise OSError("no processes here")

    end_idle()
    monkeypatch.setattr(child.subprocess, "Popen", refuse)
    assert media.probe(clip_file).kind == "clip"
    assert sum(map(len, media.stream_sound(clip_file))) > 16_000


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system does not show processes")
def test_the_child_ends_with_its_parent_however_that_ends(photo_file):
    for last_words in ("raise SystemExit", "os.kill(os.getpid(), 9)"):
        program = (
            "import os, sys; from pathlib import Path; from engines import media; from engines.media import child; "
            f"media.probe(Path({str(photo_file)!r})); print(child._idle[0].process.pid, flush=True); {last_words}"
        )
        ended = subprocess.run([sys.executable, "-c", program], cwd=child._ROOT, capture_output=True, text=True)
        pid = int(ended.stdout)
        deadline = time.monotonic() + WAIT_S
        while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
            assert time.monotonic() < deadline, f"still there after {last_words}"
            time.sleep(0.02)
        assert ended.stderr == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork there")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_does_not_share_its_parents_child(clip_file):
    media.probe(clip_file)
    first = the_child()
    forked = os.fork()
    if forked == 0:
        try:
            ok = not first.is_ready and media.probe(clip_file).kind == "clip" and the_child() is not first
            the_child().end()
        finally:
            os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]) == 0
    assert media.probe(clip_file).kind == "clip" and the_child() is first


def test_five_thumbnails_of_a_large_picture_at_once_share_a_bounded_memory(tmp_path):
    path = tmp_path / "large.png"
    Image.new("RGBA", (9400, 9400), (200, 30, 30, 128)).save(path)
    most_bytes, is_done = 0, threading.Event()

    def watch() -> None:
        nonlocal most_bytes
        while not is_done.wait(0.02):
            most_bytes = max(most_bytes, sum(map(resident_bytes, psutil.Process().children())))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with ThreadPoolExecutor(5) as asking:
            made = list(asking.map(lambda _: media.thumbnail(path), range(5)))
    finally:
        is_done.set()
        watching.join()
    assert all(one.jpeg is not None for one in made)
    assert most_bytes < 3 * 2**30, "without the bound of the pool they take 7.8 GB"


def resident_bytes(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.Error:  # it has ended
        return 0
