"""A model on a server with OpenAI's API: vLLM, llama.cpp, `transformers serve`, or a remote service.

Its abilities are probed when it is opened, with minimal requests: one token of text, a small picture, a fifth of a
second of sound. A server may accept a picture and drop it before the model reads it, so a modality counts only where
the server reports more prompt tokens with it than without, or, like llama.cpp's, lists its modalities. Whether the
model *understands* a picture cannot be probed.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import threading
import wave
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from engines.errors import AbilityError, DeviceError, Message, RequestError, UserError
from engines.hosts.dialogue import Dialogue
from engines.hosts.openai_client import ChatMessage, Server, short
from engines.hosts.prompts import Turn
from engines.hosts.results import Steps, Written, closed, finalise
from engines.hosts.transcription import ChunkTranscript
from engines.protocol import (
    LANGUAGES,
    RATE_HZ,
    Ability,
    AskRequest,
    Cancel,
    CaptionRequest,
    HostInfo,
    Modality,
    Request,
    Result,
    Segment,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
)
from engines.settings import Settings
from engines.tasks.translate import PAIRS

KEY = "FUSION_STUDIO_API_KEY"
PROBE_S = 20.0
"""Time limit of the requests that probe pictures and sound."""
MAX_SIDE = 768
"""Pixels: enough to read a sign, and few enough tokens for eight frames at a time."""
JPEG_QUALITY = 90
N_TOKENS = {CaptionRequest: 512, AskRequest: 512, TranscribeRequest: 512, TranslateRequest: 4096}
"""Maximum new tokens of a caption, an answer, the transcript of 15 s, and a translation."""
SPOKEN = {
    "en": "en", "english": "en", "de": "de", "german": "de", "fr": "fr", "french": "fr", "zh": "zh", "chinese": "zh",
}  # fmt: skip
"""Language names in transcripts: codes, or words as OpenAI's API has them."""


def load(url: str, *, settings: Settings) -> RemoteHost:
    """The model behind an address, "http://host:8000/v1" or "http://host:8000/v1#model", as a host.

    Raises RequestError, and AbilityError where the server does nothing a host could be asked for.
    """
    address, model = _parsed(url)
    key = (settings.api_key or os.environ.get(KEY, "")).strip()
    if not (key.isascii() and key.isprintable()):
        raise RequestError("api_key_letters", "The key holds letters no key has; copy {variable} again.", variable=KEY)
    server = Server(address, key=key, timeout_s=settings.timeout_s)
    try:
        model = model or _only_model(server)
        return RemoteHost(server, model, _found(server, address, model, settings.timeout_s), source=url)
    except BaseException:
        server.close()
        raise


def _parsed(url: str) -> tuple[str, str]:
    """(address, model name or ""). Secrets are refused in the address, since the page shows it."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # brackets that do not match, a port that is no number
        right = False
    if not right:
        raise RequestError(
            "server_address",
            "The address of a server looks like http://localhost:8000/v1, with #model after it to choose one.",
        )
    if "@" in parts.netloc or parts.query:
        raise RequestError(
            "server_address_secret",
            "Leave passwords and keys out of the address; put the key into {variable}.",
            variable=KEY,
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", parts.fragment


def _only_model(server: Server) -> str:
    """The model of a server that serves exactly one. Raises RequestError where a name is needed."""
    try:
        names = server.models()
    except UserError as error:
        if getattr(error.__cause__, "status_code", 0) not in (404, 405, 500, 501):
            raise
        names = []
    if len(names) == 1:
        return names[0]
    if not names:
        raise RequestError(
            "server_lists_no_models",
            "The server at {place} does not tell its models; add #name to the address, with the model's name.",
            place=server.place,
        )
    some = ", ".join(short(name) for name in names[:5]) + (", ..." if len(names) > 5 else "")
    raise RequestError(
        "server_model_unchosen",
        "The server at {place} has {n} models; add one to the address as #name: {some}.",
        place=server.place,
        n=len(names),
        some=some,
    )


# --- what the server can do ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """A server's abilities. modalities: of its chat model. form: response format of transcripts, "" without them."""

    chats: bool
    modalities: frozenset[Modality]
    form: str

    @property
    def hears_speech(self) -> bool:
        return bool(self.form) or "sound" in self.modalities

    def abilities(self) -> frozenset[Ability]:
        found: list[tuple[type, Sequence[str]]] = []
        if self.chats:
            found.append((TranslateRequest, PAIRS))
        if self.modalities:
            found += [(CaptionRequest, LANGUAGES), (AskRequest, LANGUAGES)]
        if self.hears_speech:
            found.append((TranscribeRequest, (*LANGUAGES, *PAIRS) if self.chats else LANGUAGES))
        return frozenset(Ability(kind, language) for kind, languages in found for language in languages)


def _found(server: Server, address: str, model: str, timeout_s: float) -> Found:
    """Probe a server's abilities. The first answer may take as long as loading the model."""
    limit_s = min(PROBE_S, timeout_s)
    noise = np.random.default_rng(0).normal(0.0, 0.1, RATE_HZ // 2).astype(np.float32)
    try:
        n_text = server.n_read(model, messages(Turn("user", "Say yes.")), limit_s=timeout_s)
    except UserError as error:
        form = _form(server, model, noise, limit_s) if _may_do_other_things(error) else ""
        if not form:
            raise
        return Found(False, frozenset(), form)
    modalities = _declared_modalities(server, address)
    if modalities is None:
        photo = np.full((96, 96, 3), (200, 40, 40), np.uint8)
        shown: dict[Modality, Turn] = {
            "picture": Turn("user", "Say yes.", frames=(photo,)),
            "sound": Turn("user", "Say yes.", samples=noise[: RATE_HZ // 5]),
        }
        modalities = frozenset(s for s, turn in shown.items() if _is_read(server, model, turn, n_text, limit_s))
    return Found(True, modalities, _form(server, model, noise, limit_s))


def _may_do_other_things(error: UserError) -> bool:
    """Whether a server that does not chat may still transcribe: it refused the request, not the client."""
    return getattr(error.__cause__, "status_code", 0) in (400, 404, 405, 422, 500, 501)


def _declared_modalities(server: Server, address: str) -> frozenset[Modality] | None:
    """The modalities that llama.cpp's server reports; None for other servers."""
    try:
        told = server.get(f"{address.removesuffix('/v1')}/props")
    except UserError:  # not llama.cpp's, which has said nothing wrong
        return None
    modalities = told.get("modalities") if isinstance(told, dict) else None
    if not isinstance(modalities, dict):
        return None
    names: dict[Modality, str] = {"picture": "vision", "sound": "audio"}
    return frozenset(modality for modality, name in names.items() if modalities.get(name) is True)


def _is_read(server: Server, model: str, turn: Turn, n_text: int | None, limit_s: float) -> bool:
    """Whether the model reads the medium of a turn: the prompt has more tokens with it than without."""
    try:
        n_tokens = server.n_read(model, messages(turn), tries=1, limit_s=limit_s)
    except UserError:  # refused, or too slow to be of use
        return False
    return n_text is not None and n_tokens is not None and n_tokens > n_text


def _form(server: Server, model: str, samples: np.ndarray, limit_s: float) -> str:
    """The richest form in which the server gives a transcript; "" if it gives none."""
    for form in ("verbose_json", "json"):
        try:
            server.transcription(model, wav(samples), language="en", form=form, cancel=Cancel(), limit_s=limit_s)
        except UserError:
            continue
        return form
    return ""


# --- the host -----------------------------------------------------------------------------------------------------


class _Stop(Cancel):
    """Set when a request is stopped, or its host is closed."""

    def __init__(self, asked: Cancel | None, closing: threading.Event) -> None:
        super().__init__("" if asked is None else asked.client)
        self._asked, self._closing = asked, closing

    @property
    def is_set(self) -> bool:
        return self._closing.is_set() or (self._asked is not None and self._asked.is_set)


class RemoteHost:
    """A model on a server as an `engines.Host`."""

    def __init__(self, server: Server, model: str, found: Found, *, source: str) -> None:
        self._server, self._model, self._found = server, model, found
        self._closed = threading.Event()
        abilities = found.abilities()
        self._info = HostInfo(
            name=short(model),
            abilities=abilities,
            device="remote",
            device_reason=Message("reason.server", "its server chooses"),
            dtype="",
            n_parameters=0,
            memory_bytes=0,
            licence="",
            model_digest=hashlib.sha256(f"{server.place}#{model}".encode()).hexdigest()[:12],
            source=source,
            takes=found.modalities if found.chats else frozenset({"sound"}),
        )
        self._dialogue = Dialogue(self._info.name, found.modalities, self._reply, N_TOKENS)
        tasks: dict[type, Steps] = {
            CaptionRequest: self._dialogue.answer,
            AskRequest: self._dialogue.answer,
            TranslateRequest: self._dialogue.translate,
            TranscribeRequest: self._transcribe,
        }
        self._tasks = {kind: task for kind, task in tasks.items() if self._info.serves(kind)}

    @property
    def info(self) -> HostInfo:
        return self._info

    def stream(self, request: Request, cancel: Cancel | None = None) -> Iterator[Result]:
        """Results as the server makes them; a stop ends the connection. Raises UserError."""
        if self._closed.is_set():
            raise closed()
        if isinstance(request, TranscribeRequest) and request.translate_to is not None and not self._found.chats:
            raise AbilityError(
                "remote_translation_unable",
                "{name} does not translate; transcribe without, or choose another model.",
                name=self._info.name,
            )
        return finalise(self._info, self._tasks, request, _Stop(cancel, self._closed))

    def move(self, device: str) -> None:
        """Raises DeviceError: there is nothing to move."""
        raise DeviceError(
            "remote_device",
            "{name} runs on a server, which chooses its own device; set it there.",
            name=self._info.name,
        )

    def close(self) -> None:
        """Abort running requests. Closing twice is fine."""
        self._closed.set()
        self._server.close()

    def _transcribe(self, request: TranscribeRequest, cancel: Cancel) -> Iterator[TranscribeResult]:
        def write(samples: np.ndarray, language: str | None) -> Generator[ChunkTranscript]:
            record = self._server.transcription(
                self._model, wav(samples), language=language, form=self._found.form, cancel=cancel
            )
            yield chunk_transcript(record, len(samples) / RATE_HZ)

        return self._dialogue.transcribe(request, cancel, write if self._found.form else None)

    def _reply(self, turns: Sequence[Turn], n_tokens: int, cancel: Cancel) -> Generator[Written]:
        return self._server.chat(self._model, messages(*turns), max_tokens=n_tokens, cancel=cancel)


# --- request bodies ------------------------------------------------------------------------------------------------


def messages(*turns: Turn) -> list[ChatMessage]:
    """Turns as OpenAI's chat protocol writes them; text alone as a plain string, which every template takes."""
    return [{"role": turn.role, "content": _content(turn)} for turn in turns]


def _content(turn: Turn) -> str | list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{_base64(jpeg(frame))}"}}
        for frame in turn.frames
    ]
    if turn.samples is not None:
        parts.append({"type": "input_audio", "input_audio": {"data": _base64(wav(turn.samples)), "format": "wav"}})
    return [*parts, {"type": "text", "text": turn.text}] if parts else turn.text


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def jpeg(frame: np.ndarray) -> bytes:
    """(H, W, 3) uint8 as a JPEG file, its longer side at most MAX_SIDE."""
    image = Image.fromarray(frame)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def wav(samples: np.ndarray) -> bytes:
    """(n,) float32 at 16 kHz as a WAV file of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE_HZ)
        sound.writeframes((np.clip(samples, -1.0, 1.0) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def chunk_transcript(record: dict[str, Any], duration_s: float) -> ChunkTranscript:
    """A server's transcript of a chunk: with its own times where it gives any, else the text over all of it."""
    language = SPOKEN.get(str(record.get("language", "")).lower(), "")
    found: list[Segment] = []
    rows = record.get("segments")
    for row in rows if isinstance(rows, list) else ():
        match row:
            case {"start": int() | float() as start_s, "end": int() | float() as end_s, "text": str(text)}:
                start_s = min(max(float(start_s), 0.0), duration_s)
                found.append(Segment(start_s, min(max(float(end_s), start_s), duration_s), text.strip()))
    return ChunkTranscript(tuple(found) or (Segment(0.0, duration_s, record["text"].strip()),), language)
