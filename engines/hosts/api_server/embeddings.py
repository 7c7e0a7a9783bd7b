"""Vectors of texts and media, in the form of OpenAI's API."""

from __future__ import annotations

import base64
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from anyio import to_thread
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from engines.hosts.api_server.exchange import data_url, decoded, inner, json_body, last_result, wrong
from engines.protocol import KINDS, EmbedRequest, EmbedResult, Host

MAX_INPUTS = 256
"""Texts or media of one request."""


async def embeddings(host: Host, http: HttpRequest) -> Response:
    """Vectors of texts, and of media as data URLs or as the parts a chat has."""
    body = await json_body(http)
    given = body.get("input")
    is_list = isinstance(given, list) and not (given and all(isinstance(item, int) for item in given))
    inputs: list[Any] = list(given or ()) if is_list else [given]
    if not inputs or len(inputs) > MAX_INPUTS:
        raise wrong(f'"input" is one text or medium, or a list of 1 to {MAX_INPUTS}.')
    form = body.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise wrong("encoding_format is float or base64.")
    against = body.get("against") or "photo"
    if against not in KINDS:
        raise wrong(f'"against" is one of {", ".join(KINDS)}: what the vector of a text is compared with.')
    rows: list[dict[str, Any]] = []
    n_read = 0
    with TemporaryDirectory(prefix="fusion-studio-api-") as folder:
        for n, item in enumerate(inputs):
            media = await to_thread.run_sync(_embeddable, item, Path(folder) / f"input-{n}")
            n_read += len(media) // 4 + 1 if isinstance(media, str) else 64
            result = await last_result(host, EmbedRequest(media=media, against=against), http)
            assert isinstance(result, EmbedResult)
            vector = np.asarray(result.vector, "<f4")
            shown = base64.b64encode(vector.tobytes()).decode() if form == "base64" else [float(v) for v in vector]
            rows.append({"object": "embedding", "index": n, "embedding": shown})
    size = body.get("dimensions")
    if size is not None and size != len(vector):
        raise wrong(f"The vectors have {len(vector)} dimensions; leave dimensions out.")
    usage = {"prompt_tokens": n_read, "total_tokens": n_read}
    return JSONResponse({"object": "list", "data": rows, "model": host.info.name, "usage": usage})


def _embeddable(item: object, path: Path) -> Path | str:
    """A text as it is, or a medium written to a file."""
    if isinstance(item, str) and not item.startswith("data:"):
        return item
    match item:
        case str():
            data = data_url(item)
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "input_audio"}:
            data = decoded(inner(item, "input_audio", "data"))
        case {"type": "image_url" | "video_url" | "audio_url" as kind}:
            data = data_url(inner(item, str(kind), "url"))
        case _:
            raise wrong("An input is a text, a data URL, or a part as a chat has them; token ids are not read.")
    path.write_bytes(data)
    return path
