"""Seconds per job, one at a time, beside other architectures, real Whisper models and other number formats.

To measure what a CPU without AVX-512 and AMX would do on one that has them, set ATEN_CPU_CAPABILITY=avx2,
ONEDNN_MAX_CPU_ISA=AVX2, FBGEMM_ENABLE_INSTRUCTIONS=AVX2 and, for faster-whisper, CT2_FORCE_CPU_ISA=AVX2.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from engines import device as devices
from engines.archives import pairs, photos, speech
from engines.evaluation.harness import REASONS, Harness, Row, Rows, attempt, skipped
from engines.evaluation.metrics import MissingTool, bleu, cider, word_error_rate
from engines.evaluation.speech import MAX_CLIPS, errors_of
from engines.hosts.builtin import BuiltinHost
from engines.model import checkpoint
from engines.protocol import (
    RATE_HZ,
    CaptionRequest,
    CaptionResult,
    EmbedRequest,
    Host,
    Photo,
    Request,
    Sound,
    TranscribeRequest,
    TranslateRequest,
    run,
)
from engines.text import normalise

N_RUNS = 5
"""Timed runs of a job, after one that is not; each on media of its own, so that no cache answers."""

SPEECH_S = {"transcribe": 10, "transcribe_25_s": 25}
"""Job -> the seconds of speech it transcribes."""
HOUR_S = 3600
ROOT = Path(__file__).resolve().parents[2]
N_STARTS = 3
START_LIMIT_S = 120.0


def speed_rows(
    harness: Harness,
    *,
    reopen: Callable[[], Host] | None = None,
    with_peers: bool = False,
    with_hour: bool = False,
    with_starts: bool = False,
) -> Rows:
    """`speed.<job>.seconds`, medians; `reopen` opens the host again, to time that too.

    with_peers: other architectures too. with_hour: an hour of speech, too. with_starts: new processes, too.
    """
    rows: Rows = {}
    jobs: dict[str, Callable[[Harness], list[Request]]] = {
        "caption": lambda b: [CaptionRequest(media=photo) for photo in _photos(b)],
        **{job: partial(_transcripts, seconds=seconds) for job, seconds in SPEECH_S.items()},
        "translate": lambda b: [TranslateRequest(text=text, source="en", target="de") for text in _sentences(b)],
        "photo_vector": lambda b: [EmbedRequest(media=photo) for photo in _photos(b, shift=1)],
        "text_vector": lambda b: [EmbedRequest(media=text) for text in _sentences(b)],
    }
    for job, requests in jobs.items():
        rows |= attempt(f"speed.{job}.seconds", _job_rows, harness, job, requests)
    key = "speed.caption_first_word.seconds"
    rows |= attempt(key, _first_word_rows, harness, key)
    rows["speed.peak_memory.megabytes"] = _memory_row()
    if reopen is not None:
        rows["speed.load.seconds"] = _load_row(reopen)
    if with_hour:
        rows |= attempt("speed.transcribe_hour.real_time_factor", _hour_rows, harness)
    if with_starts:
        rows |= attempt("speed.page.seconds", _start_rows)
    for name, peer in PEERS.items() if with_peers else ():
        key = f"speed.{name}.seconds"
        rows |= attempt(key, _peer_rows, key, peer)
    return rows


def _job_rows(harness: Harness, job: str, requests: Callable[[Harness], list[Request]]) -> Rows:
    seconds = median_s([partial(run, harness.host, request) for request in requests(harness)])
    rows = {f"speed.{job}.seconds": Row(seconds, N_RUNS, "s", note="median, one at a time")}
    if job in SPEECH_S:
        note = f"{SPEECH_S[job]} s of speech"
        rows[f"speed.{job}.real_time_factor"] = Row(seconds / SPEECH_S[job], N_RUNS, "", note=note)
    return rows


def _transcripts(harness: Harness, *, seconds: float) -> list[Request]:
    return [TranscribeRequest(media=sound, language="en") for sound in speech_chunks(harness, seconds)]


def _hour_rows(harness: Harness) -> Rows:
    (hour,) = speech_chunks(harness, HOUR_S, n=1)
    started = time.perf_counter()
    run(harness.host, TranscribeRequest(media=hour, language="en"))
    factor = (time.perf_counter() - started) / HOUR_S
    return {"speed.transcribe_hour.real_time_factor": Row(factor, 1, "", note="an hour of read speech, clips joined")}


def median_s(jobs: Sequence[Callable[[], object]]) -> float:
    """Seconds of a job: the median of all but the first, which warms up."""
    jobs[0]()
    times = []
    for job in jobs[1:]:
        started = time.perf_counter()
        job()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def _first_word_rows(harness: Harness, key: str) -> Rows:
    """How long a caption's first word takes to appear."""

    def first_word(photo: Photo) -> None:
        for result in harness.host.stream(CaptionRequest(media=photo)):
            if isinstance(result, CaptionResult) and result.text:
                break

    return {key: Row(median_s([partial(first_word, photo) for photo in _photos(harness, shift=2)]), N_RUNS, "s")}


def _memory_row() -> Row:
    """The most memory this process has held so far, after a caption, a transcript, a translation and vectors."""
    try:
        import resource
    except ImportError:  # Windows
        return Row(None, skipped="this system does not tell a process's peak memory")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    return Row(peak, 1, "MB", note="resident, the evaluation itself with it")


def _load_row(reopen: Callable[[], Host]) -> Row:
    times = []
    for _ in range(3):
        started = time.perf_counter()
        reopen().close()
        times.append(time.perf_counter() - started)
    return Row(statistics.median(times), len(times), "s", note="libraries imported before")


def _peer_rows(key: str, peer: Callable[[], Callable[[], object]]) -> Rows:
    seconds = median_s([peer()] * (N_RUNS + 1))
    return {key: Row(seconds, N_RUNS, "s", note="its architecture with random weights, float32")}


def _photos(harness: Harness, *, shift: int = 0) -> list[Photo]:
    """Photos, a few pixels of them moved from one side to the other: another shift makes other photos of them."""
    records = photos(harness.data, harness.split)
    chosen = [records[i % len(records)].load() for i in range(N_RUNS + 1)]
    return [Photo(np.roll(photo.pixels, shift, axis=1)) for photo in chosen]


def _sentences(harness: Harness) -> list[str]:
    """Sentences of 9 to 13 words."""
    found = [p.source for p in pairs(harness.data, "en-de", harness.split)]
    usual = [text for text in found if 9 <= len(text.split()) <= 13] or found
    return [usual[i % len(usual)] for i in range(N_RUNS + 1)]


def speech_chunks(harness: Harness, seconds: float, n: int = N_RUNS + 1) -> list[Sound]:
    """`n` stretches of English speech: clips joined as they come, after the last one from the first again."""
    records = [record for record in speech(harness.data, harness.split) if record.language == "en"]
    size = round(seconds * RATE_HZ)
    clips: list[np.ndarray] = []
    for record in cycle(records):
        if sum(map(len, clips)) >= n * size:
            break
        clips.append(record.load().samples)
    whole = np.concatenate(clips)
    return [Sound(whole[i * size : (i + 1) * size]) for i in range(n)]


# --- new processes ---------------------------------------------------------------------------------------------------


def _start_rows() -> Rows:
    """`speed.{open_host,page}.seconds`: from a new process until the model is open or the page is answered."""
    opening = [sys.executable, "-c", "from engines import open_host; open_host('builtin').close()"]
    opened, shown = [], []
    for _ in range(N_STARTS):
        started = time.perf_counter()
        subprocess.run(opening, check=True, cwd=ROOT)
        opened.append(time.perf_counter() - started)
        shown.append(_page_s())
    notes = {
        "open_host": (opened, "a new process, imports included"),
        "page": (shown, "launch.py, not its first start"),
    }
    return {
        f"speed.{name}.seconds": Row(statistics.median(times), N_STARTS, "s", note=note)
        for name, (times, note) in notes.items()
    }


def _page_s() -> float:
    """Seconds from `python launch.py` until its page is answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.perf_counter()
    command = [sys.executable, str(ROOT / "launch.py"), "--no-browser", "--port", str(port)]
    studio = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - started < START_LIMIT_S and studio.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=START_LIMIT_S) as page:
                    page.read()
                return time.perf_counter() - started
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.02)
        raise MissingTool("the page did not open")
    finally:
        studio.terminate()  # a job in the background, and what it starts, ignores Ctrl-C
        studio.wait(START_LIMIT_S)


# --- peers' architectures --------------------------------------------------------------------------------------------

# Well-known architectures, built by transformers with random weights: only their time is compared. Each entry builds a
# model and returns a job that does what our job of that name does once, with batch 1 and greedy decoding.

N_CAPTION = 20
N_TRANSCRIPT = 30
"""Tokens Whisper writes for 10 s of read speech."""
N_TRANSLATION = 15

Job = Callable[[], object]


def _libraries() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingTool("transformers is not installed") from error
    return torch, transformers


def _without_gradients(torch: Any, job: Job) -> Job:
    def run() -> object:
        with torch.inference_mode():
            return job()

    return run


def _both_sides(**sizes: int) -> dict[str, int]:
    """Sizes that encoder and decoder share, under the names of their configs."""
    return {f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in sizes.items()}


def blip_base() -> Job:
    """BLIP base (Li et al. 2022), 384 px, a caption of 20 tokens."""
    torch, transformers = _libraries()
    model = transformers.BlipForConditionalGeneration(transformers.BlipConfig()).eval()
    photo = torch.randn(1, 3, 384, 384)
    return _without_gradients(
        torch, lambda: model.generate(photo, max_new_tokens=N_CAPTION, min_new_tokens=N_CAPTION, num_beams=1)
    )


def whisper_tiny_en() -> Job:
    """Whisper tiny.en (Radford et al. 2022): its 30 s window, 30 tokens."""
    torch, transformers = _libraries()
    size = {"d_model": 384, "vocab_size": 51_864}
    sides = _both_sides(layers=4, attention_heads=6, ffn_dim=1536)
    model = transformers.WhisperModel(transformers.WhisperConfig(**size, **sides)).eval()
    mel = torch.randn(1, 80, 3000)

    def transcribe() -> object:
        memory = model.encoder(mel).last_hidden_state
        token, cache = torch.zeros(1, 1, dtype=torch.long), None
        for _ in range(N_TRANSCRIPT):
            out = model.decoder(token, encoder_hidden_states=memory, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            logits = out.last_hidden_state[:, -1] @ model.decoder.embed_tokens.weight.T
            token = logits.argmax(-1, keepdim=True)
        return token

    return _without_gradients(torch, transcribe)


def clip_vit_b32() -> Job:
    """CLIP ViT-B/32 (Radford et al. 2021): a photo's vector."""
    torch, transformers = _libraries()
    model = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig()).eval()
    photo = torch.randn(1, 3, 224, 224)
    return _without_gradients(torch, lambda: model(photo).image_embeds)


def marian_base() -> Job:
    """Marian, transformer base (Junczys-Dowmunt et al. 2018), as the OPUS models are: a sentence of 15 tokens."""
    torch, transformers = _libraries()
    sides = _both_sides(layers=6, attention_heads=8, ffn_dim=2048)
    special = {"pad_token_id": 58_100, "decoder_start_token_id": 58_100, "eos_token_id": 0, "forced_eos_token_id": None}
    config = transformers.MarianConfig(vocab_size=58_101, d_model=512, **sides, **special)
    model = transformers.MarianMTModel(config).eval()
    sentence = torch.randint(1, 50_000, (1, N_TRANSLATION))
    return _without_gradients(
        torch,
        lambda: model.generate(sentence, max_new_tokens=N_TRANSLATION, min_new_tokens=N_TRANSLATION, num_beams=1),
    )


PEERS: dict[str, Callable[[], Job]] = {
    "caption.blip_base": blip_base,
    "transcribe.whisper_tiny_en": whisper_tiny_en,
    "photo_vector.clip_vit_b32": clip_vit_b32,
    "translate.marian_base": marian_base,
}
"""Middle of a row's key -> the function that builds its model."""


# --- real Whisper models ---------------------------------------------------------------------------------------------

# Whisper (Radford et al. 2022) on the same speech in the same run: word errors, and seconds.

MAX_TOKENS = 200
"""Maximum new tokens per window of 30 s; Whisper's own limit is 224."""


class Transcriber(Protocol):
    """A Whisper model, however it is run."""

    english_only: bool
    how: str

    def __init__(self, folder: Path) -> None: ...

    def write(self, sound: Sound, language: str) -> str: ...


class Whisper:
    """A transformers folder of Whisper, float32, greedy, its input filled up to 30 s as it is used to."""

    how = "filled up to 30 s, greedy, float32"

    def __init__(self, folder: Path) -> None:
        try:
            import torch
            from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration
        except ImportError as error:
            raise MissingTool("transformers is not installed") from error
        self.torch = torch
        model: Any = WhisperForConditionalGeneration
        self.model = model.from_pretrained(folder, dtype=torch.float32, use_safetensors=True).eval()
        self.extract = WhisperFeatureExtractor.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.english_only = self.model.config.vocab_size < 51_865  # the multilingual ones have a token more

    def write(self, sound: Sound, language: str) -> str:
        features = self.extract(sound.samples, sampling_rate=RATE_HZ, return_tensors="pt").input_features
        about = {} if self.english_only else {"language": language, "task": "transcribe"}
        with self.torch.inference_mode():
            ids = self.model.generate(features, max_new_tokens=MAX_TOKENS, **about)
        text: str = self.tokenizer.decode(ids[0], skip_special_tokens=True)
        return text


class FasterWhisper:
    """A CTranslate2 folder of Whisper as faster-whisper runs it by default: a beam of 5, in int8."""

    how = "faster-whisper, beam 5, int8"

    def __init__(self, folder: Path) -> None:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise MissingTool("faster-whisper is not installed") from error
        n_threads = torch.get_num_threads()
        self.model = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=n_threads)
        self.english_only = not self.model.model.is_multilingual

    def write(self, sound: Sound, language: str) -> str:
        segments, _ = self.model.transcribe(sound.samples, language=language)
        return " ".join(segment.text.strip() for segment in segments)


def _transcriber(folder: Path) -> Transcriber:
    """The model of a folder: as CTranslate2 keeps it, or as transformers does."""
    return FasterWhisper(folder) if (folder / "model.bin").is_file() else Whisper(folder)


def whisper_rows(harness: Harness, folders: Sequence[Path]) -> Rows:
    """`whispers.<folder>.<corpus>.word_error_rate` and `whispers.<folder>.<job>.seconds` of the jobs in `SPEECH_S`."""
    rows: Rows = {}
    for folder in folders:
        key = f"whispers.{folder.name}"
        try:
            whisper = _transcriber(folder)
            wanted = [record for record in speech(harness.data, harness.split) if harness.wants(record.corpus)]
            records = [record for record in wanted if record.language == "en" or not whisper.english_only]
            sounds = {job: speech_chunks(harness, seconds) for job, seconds in SPEECH_S.items()}
        except (*REASONS, OSError) as reason:
            rows[key] = skipped(reason)
            continue
        for corpus, own in harness.by_corpus(records, MAX_CLIPS):
            heard = harness.each(own, f"{folder.name}, {corpus}")
            errors = [errors_of(whisper.write(record.load(), record.language), record) for record in heard]
            rate, interval = word_error_rate(errors)
            rows[f"{key}.{corpus}.word_error_rate"] = Row(rate, len(own), interval=interval, note=whisper.how)
        for job, chunks in sounds.items():
            seconds = median_s([partial(whisper.write, sound, "en") for sound in chunks])
            note = f"{whisper.how}; {SPEECH_S[job]} s of speech; median, one at a time"
            rows[f"{key}.{job}.seconds"] = Row(seconds, N_RUNS, "s", note=note)
    return rows


# --- number formats --------------------------------------------------------------------------------------------------

# What each costs and gains on this CPU: the same captions, transcripts and translations. The weights are shipped as
# int8 rows. "int8" multiplies by them as they are, "mixed" does so except in the sound tower, which is in bfloat16;
# which of the two serves depends on the CPU (`engines.device`). "float32" and "bfloat16" are the whole model in that
# format.

N_ITEMS = 100
"""Photos, clips of speech and sentences; each part is measured on the same ones."""
T = TypeVar("T")

FORMATS: Mapping[str, tuple[torch.dtype, bool]] = {
    "float32": (torch.float32, False),
    "int8": (torch.float32, True),
    "mixed": (torch.bfloat16, True),
    "bfloat16": (torch.bfloat16, False),
}
"""What `checkpoint.load` is given: its dtype, and int8."""


def precision_rows(harness: Harness, folder: Path | None = None) -> Rows:
    """`precision.<format>.{caption.cider,speech.word_error_rate,translation.bleu}`, each with its `.seconds` an item.

    folder: of the model, None for the one that comes with the program. Computed on the CPU.
    """
    tasks = {"caption": _caption_precision, "speech": _speech_precision, "translation": _translation_precision}
    rows: Rows = {}
    for name, (dtype, int8) in FORMATS.items():
        opened = checkpoint.load(checkpoint.BUILTIN if folder is None else folder, dtype=dtype, int8=int8)
        host = BuiltinHost(opened, choice=devices.choose("cpu", "float32"))
        try:
            for task, measure in tasks.items():
                key = f"precision.{name}.{task}"
                rows |= attempt(key, measure, key, replace(harness, host=host))
        finally:
            host.close()
    return rows


def _caption_precision(key: str, harness: Harness) -> Rows:
    described = [record for record in photos(harness.data, harness.split) if "en" in record.captions]
    records = harness.take(described, N_ITEMS)
    written, seconds = _timed(lambda photo: harness.caption(photo).text, [record.load() for record in records])
    references = [[normalise(text, "en") for text in record.captions["en"]] for record in records]
    score = cider([normalise(text, "en") for text in written], references)
    return {f"{key}.cider": Row(score, len(written), "points"), f"{key}.seconds": seconds}


def _speech_precision(key: str, harness: Harness) -> Rows:
    english = [record for record in speech(harness.data, harness.split) if record.language == "en"]
    records = harness.take(english, N_ITEMS)
    written, seconds = _timed(lambda sound: harness.transcribe(sound, "en"), [record.load() for record in records])
    rate, _ = word_error_rate([errors_of(text, record) for text, record in zip(written, records, strict=True)])
    return {f"{key}.word_error_rate": Row(rate, len(written)), f"{key}.seconds": seconds}


def _translation_precision(key: str, harness: Harness) -> Rows:
    found = [pair for pair in pairs(harness.data, "en-de", harness.split) if pair.corpus == "multi30k"]
    own = harness.take(found, N_ITEMS)
    written, seconds = _timed(lambda text: harness.translate(text, "en", "de"), [pair.source for pair in own])
    score = bleu(written, [[pair.target] for pair in own])
    return {f"{key}.bleu": Row(score, len(own), "points"), f"{key}.seconds": seconds}


def _timed(write: Callable[[T], str], items: Sequence[T]) -> tuple[list[str], Row]:
    """What is written for each item, and the mean seconds of one."""
    started = time.perf_counter()
    written = [write(item) for item in items]
    seconds = (time.perf_counter() - started) / len(items)
    return written, Row(seconds, len(items), "s", note="mean of one item at a time")
