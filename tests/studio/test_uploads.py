import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from studio import uploads


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"photo")
    return path


def test_what_was_not_used_for_an_hour_is_deleted(tmp_path):
    old, kept = write(tmp_path / "a" / "old.jpg"), write(tmp_path / "b" / "kept.jpg")
    in_an_hour = time.time() + uploads.KEEP_S + 1
    os.utime(kept, (in_an_hour, in_an_hour))
    assert uploads.delete_old(tmp_path) == []
    assert uploads.delete_old(tmp_path, now_s=in_an_hour) == [old]
    assert not old.parent.exists()
    assert kept.exists()


def test_a_folder_of_a_process_that_is_gone_is_deleted_and_no_other(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stale = write(tmp_path / f"studio-{ended.pid}" / "a.jpg")
    living = write(tmp_path / f"studio-{os.getppid()}" / "a.jpg")
    other = write(tmp_path / "somebody" / "a.jpg")
    own = uploads.claim(tmp_path)
    assert own.name == f"studio-{os.getpid()}"
    assert not stale.exists()
    assert living.exists()
    assert other.exists()
    mine = write(own / "a.jpg")
    assert uploads.claim(tmp_path) == own
    assert mine.exists()


def test_two_studios_on_one_machine_keep_their_uploads_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    first = write(uploads.claim_for_gradio() / "a.jpg")
    assert uploads.claim_for_gradio() == first.parent
    program = "from studio import uploads; print(uploads.claim_for_gradio())"
    second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert Path(second).parent == tmp_path
    assert second != str(first.parent)
    assert not Path(second).exists()  # it went with its process
    assert first.exists()


def test_the_sweeper_goes_on_after_a_sweep_that_fails_and_ends_when_it_is_closed():
    again = threading.Event()
    swept: list[int] = []

    def fail() -> None:
        swept.append(1)
        if len(swept) > 2:
            again.set()
        raise OSError("no such device")

    sweeper = uploads.Sweeper([fail], every_s=0.01)
    assert again.wait(60)
    sweeper.close()
    assert not sweeper._thread.is_alive()
