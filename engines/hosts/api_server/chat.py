"""Chats: a question about media, a caption, a dictation or a translation, found in the messages."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anyio import to_thread
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from engines import media as files
from engines.hosts.api_server.exchange import data_url, decoded, events, inner, json_body, last_result, results, wrong
from engines.hosts.api_server.speech import CODES
from engines.protocol import (
    AskRequest,
    AskResult,
    CaptionRequest,
    CaptionResult,
    Clip,
    Host,
    Media,
    Request,
    Result,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
)

FRAME_S = 1.0
"""Seconds between pictures of which nobody says when they were taken."""

_LANGUAGE = rf"({'|'.join(CODES)})"
_TRANSLATE = re.compile(
    rf"\s*translate\b(?:.*?\bfrom {_LANGUAGE})?.*?\b(?:in)?to {_LANGUAGE}\b[^\n]*?[:.\n]\s*(\S.*)", re.I | re.S
)
_CAPTION = re.compile(r"\s*(please\s+)?(describe|caption)\b", re.I)
_DICTATION = re.compile(r"\s*(please\s+)?(transcribe\b|write down word for word)", re.I)
_IN_LANGUAGE = re.compile(rf"\b(?:in|is) {_LANGUAGE}\b", re.I)
_INSTRUCTION = re.compile(rf"\s*answer briefly, in {_LANGUAGE}\.?\s*$", re.I)
_TIMES = re.compile(r"taken at ([\d., ]+?) seconds\.\s*")
_SENTENCE_END = re.compile(r"[.!?]\s+|[。！？]\s*|\n")

HELP = (
    "This model answers questions about photos, sounds and clips, and translates: send a picture, a sound or a clip "
    'with the question, or write "Translate from English to German:" and the text.'
)


class _Turns:
    """The messages of a chat: texts as they alternate, and the media of the last message that has any."""

    def __init__(self, messages: object, folder: Path) -> None:
        if not isinstance(messages, list) or not messages:
            raise wrong('"messages" is a list of at least one message.')
        self._folder = folder
        self.texts: list[tuple[str, str]] = []
        self.pictures: list[Path] = []
        self.sound: Path | None = None
        self.clip: Path | None = None
        for message in messages:
            role, content = (message.get("role"), message.get("content")) if isinstance(message, dict) else (None, None)
            if role in ("system", "developer"):
                continue
            if role == "assistant" and content is None:  # it called a tool
                content = ""
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            if role not in ("user", "assistant") or not isinstance(parts, list):
                raise wrong('A message has the role "user", "assistant" or "system" and a content.')
            self._add(role, [part if isinstance(part, dict) else {} for part in parts])
        if not self.texts or self.texts[-1][0] != "user":
            raise wrong("The last message is the user's.")

    def _add(self, role: str, parts: list[dict[str, Any]]) -> None:
        if any(part.get("type") not in ("text", "refusal") for part in parts):
            self.pictures, self.sound, self.clip = [], None, None
        for part in parts:
            match part.get("type"):
                case "text" | "refusal":
                    pass
                case "image_url":
                    self.pictures.append(self._kept("picture", data_url(inner(part, "image_url", "url"))))
                case "input_audio":
                    self.sound = self._kept("sound", decoded(inner(part, "input_audio", "data")))
                case "audio_url":
                    self.sound = self._kept("sound", data_url(inner(part, "audio_url", "url")))
                case "video_url":
                    self.clip = self._kept("clip", data_url(inner(part, "video_url", "url")))
                case kind:
                    raise wrong(
                        f"A part of the type {kind!r} is not read; send text, image_url, input_audio or video_url."
                    )
        self.texts.append(
            (role, "\n".join(str(part.get("text") or "") for part in parts if part.get("type") == "text"))
        )

    def _kept(self, kind: str, data: bytes) -> Path:
        path = self._folder / f"{kind}-{uuid.uuid4().hex[:8]}"
        path.write_bytes(data)
        return path

    @property
    def question(self) -> str:
        return self.texts[-1][1]

    def history(self) -> tuple[tuple[str, str], ...]:
        """Earlier questions with their answers."""
        earlier = self.texts[:-1]
        return tuple(
            (q[1], a[1]) for q, a in pairwise(earlier) if q[0] == "user" and a[0] == "assistant" and q[1] and a[1]
        )

    def media(self) -> Media | None:
        """The medium the chat is about; several pictures, or a picture with a sound, are a clip. Raises MediaError."""
        if self.clip is not None:
            return self.clip
        if not self.pictures:
            return self.sound
        if len(self.pictures) == 1 and self.sound is None:
            return self.pictures[0]
        frames = tuple(files.load_photo(path).pixels for path in self.pictures)
        height, width = frames[0].shape[:2]
        if any(frame.shape[:2] != (height, width) for frame in frames):
            raise wrong("Several pictures in one question are frames of one clip and have one size.")
        stated = _TIMES.search("\n".join(text for _, text in self.texts))
        times_s = _numbers(stated[1]) if stated else ()
        if len(times_s) != len(frames) or list(times_s) != sorted(set(times_s)):
            times_s = tuple(FRAME_S * n for n in range(len(frames)))
        sound = None if self.sound is None else files.load_sound(self.sound)
        duration_s = max(times_s[-1] + FRAME_S, 0.0 if sound is None else sound.duration_s)
        return Clip(frames, times_s, duration_s, sound)

    def n_tokens(self) -> int:
        """An estimate, as usage is counted elsewhere: four characters a token, 64 a picture, 25 a 16 kB of sound."""
        size = sum(path.stat().st_size // 2**14 for path in (self.sound, self.clip) if path is not None)
        heard = (25 if self.sound or self.clip else 0) + 25 * size
        return 1 + sum(len(text) for _, text in self.texts) // 4 + 64 * len(self.pictures) + heard


def _numbers(words: str) -> tuple[float, ...]:
    """Numbers with commas between them; none where one is no number."""
    try:
        return tuple(map(float, words.split(",")))
    except ValueError:
        return ()


def _request(turns: _Turns) -> Request | None:
    """What a chat asks of a host; None for text that no task here is for."""
    question = _TIMES.sub("", turns.question.replace("These are pictures of a clip, ", "")).strip()
    media = turns.media()
    if media is None:
        found = _TRANSLATE.match(question)
        if found is None:
            return None
        source, target = (CODES.get((name or "").lower(), "") for name in (found[1], found[2]))
        return TranslateRequest(
            text=found[3], source=source or ("zh" if _is_chinese(found[3]) else "en"), target=target
        )
    stated = _IN_LANGUAGE.findall(question)
    language = CODES[stated[-1].lower()] if stated else "zh" if _is_chinese(question) else "en"
    if _DICTATION.match(question):
        return TranscribeRequest(media=media, language=language if stated else None)
    if not question or _CAPTION.match(question):
        return CaptionRequest(media=media, language=language)
    asked = _INSTRUCTION.sub("", question) or question
    history = tuple((_INSTRUCTION.sub("", q) or q, a) for q, a in turns.history())
    return AskRequest(media=media, question=asked, language=language, history=history)


def _is_chinese(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def _text(result: Result | None) -> str:
    match result:
        case CaptionResult() | AskResult() | TranslateResult() | TranscribeResult():
            return result.text
    return ""


async def completions(host: Host, http: HttpRequest) -> Response:
    body = await json_body(http)
    if body.get("n") not in (None, 1):
        raise wrong("One answer is given at a time; leave n out.")
    folder = TemporaryDirectory(prefix="fusion-studio-api-")
    try:
        turns = await to_thread.run_sync(_Turns, body.get("messages"), Path(folder.name))
        n_read = turns.n_tokens()
        asked = await to_thread.run_sync(_request, turns)
        head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": host.info.name}
        if body.get("stream"):
            usage = isinstance(body.get("stream_options"), dict) and bool(body["stream_options"].get("include_usage"))
            return events(_chunks(host, asked, folder, head, n_read if usage else None), http, done=True)
        result = None if asked is None else await last_result(host, asked, http)
    except BaseException:
        folder.cleanup()
        raise
    folder.cleanup()
    text = HELP if asked is None else _text(result)
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(result)}
    return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": _usage(n_read, text)})


async def _chunks(
    host: Host,
    asked: Request | None,
    folder: TemporaryDirectory[str],
    head: dict[str, Any],
    n_read: int | None,
) -> AsyncIterator[dict[str, Any]]:
    """The events of a chat. Beams revise what they are writing, so a sentence is sent once the next one has begun."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        return {**head, "object": "chat.completion.chunk", "choices": choices}

    sent, finish = "", "stop"
    with folder:
        yield chunk({"role": "assistant", "content": ""})
        if asked is None:
            sent = HELP
            yield chunk({"content": HELP})
        else:
            async for result in results(host, asked):
                text = _text(result)
                ready = text if result.done else _settled(text)
                if len(ready) > len(sent) and ready.startswith(sent):
                    yield chunk({"content": ready[len(sent) :]})
                    sent = ready
                finish = _finish(result)
        yield chunk({}, finish)
        if n_read is not None:
            yield {**head, "object": "chat.completion.chunk", "choices": [], "usage": _usage(n_read, sent)}


def _settled(text: str) -> str:
    """A growing text up to the last sentence that another one follows."""
    ends = [found.end() for found in _SENTENCE_END.finditer(text) if found.end() < len(text)]
    return text[: ends[-1]] if ends else ""


def _finish(result: Result | None) -> str:
    return "length" if result is not None and result.end == "cut" else "stop"


def _usage(n_read: int, text: str) -> dict[str, int]:
    n_written = len(text) // 4 + 1
    return {"prompt_tokens": n_read, "completion_tokens": n_written, "total_tokens": n_read + n_written}
