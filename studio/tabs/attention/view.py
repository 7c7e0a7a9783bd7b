"""Attention as HTML: a caption whose words can be chosen, over the photo with what each of them looked at lit.

`assets/attention.js` paints the chosen word from the numbers that `painted` holds.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence

import numpy as np

from engines import HostInfo
from engines.lab.attention import AttentionResult, Region
from studio import theme, views
from studio.i18n import LANGUAGES, both, spans, text, texts, title

LEAST_TOP = 2.0
"""The brightest place is at least this many times an even share, so that an even gaze looks even."""
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "centre", "right")


def growing(result: AttentionResult) -> str:
    """The card of a caption that is being written, or was stopped."""
    written = f'<p class="sentence">{html.escape(result.text)}</p>' if result.text else ""
    if not result.done:
        return views.result_card("busy", written or views.stage(result.progress))
    return views.result_card("stopped", written or views.nothing(views.why_nothing(result.end)))


def shown(result: AttentionResult, jpeg: bytes, info: HostInfo) -> str:
    """The card of a finished caption. jpeg: its photo."""
    assert result.places is not None and result.to_names is not None
    language = result.request.language
    address = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    n_blocks, (rows, columns) = result.places.shape[1], result.places.shape[3:]
    parts = "".join(_part(region, rows, columns) for region in result.regions)
    held = json.dumps(painted(result), ensure_ascii=False, separators=(",", ":"))
    names = [views.meter(0.0, f"{theme.mark('picture')} {both('ui.attention.photo')}", kind="picture")]
    names += [views.meter(0.0, f"{theme.mark('text')} {html.escape(name)}", kind="names") for name in result.names]
    note = "" if result.names else f'<p class="quiet">{both("ui.attention.alone")}</p>'
    words = _words(result.words, language, first_word(result))
    body = (
        f'<div class="attention" data-attention="{html.escape(held)}">{words}'
        f'<div class="attention-photo"><img src="{address}" alt="{title("ui.attention.alt")}">{parts}</div>'
        f'<div class="attention-said"><p class="attention-line number" role="status"></p>'
        f'<div class="shares">{"".join(names)}</div>{note}{_layers(n_blocks)}'
        f'<p class="quiet">{both("ui.attention.cause")}</p></div></div>'
    )
    return views.result_card("done", body, views.status_line(views.facts(result.seconds, info)))


def choosable(words: Sequence[str]) -> list[int]:
    """The places of words, marks between them left out."""
    found = [n for n, word in enumerate(words) if any(sign.isalnum() for sign in word)]
    return found or list(range(len(words)))


def first_word(result: AttentionResult) -> int:
    """The word that looks most at one place, in the last block."""
    assert result.places is not None
    brightest = result.places[:, -1].reshape(len(result.words), -1).max(1)
    return max(choosable(result.words), key=lambda n: float(brightest[n]))


def painted(result: AttentionResult) -> dict[str, object]:
    """What the script paints, of each word in each block and, last, in the mean of all blocks.

    lit: how bright each place is, 0 to 255 in base64, the brightest of all that can be chosen being 255 and an even
    share 0. place: where it is brightest. times: how many times an even share that is. shares: percentages of the photo
    and each name.
    """
    assert result.places is not None and result.to_names is not None
    places, to_names = _with_mean(result.places), _with_mean(result.to_names)
    n_words, n_blocks = places.shape[:2]
    flat = places.reshape(n_words, n_blocks, -1)
    on_photo = flat.sum(-1, keepdims=True)
    times = flat * flat.shape[-1] / np.maximum(on_photo, 1e-9)  # of an even share of what went to the photo
    top = np.maximum(times[choosable(result.words)].max((0, 2), keepdims=True), LEAST_TOP)
    lit = np.clip((times - 1.0) / (top - 1.0), 0.0, 1.0)
    where = [_place(result.regions, n, *places.shape[3:]) for n in range(flat.shape[-1])]
    shares = np.concatenate([on_photo, to_names], axis=-1)
    return {
        "words": [word.strip() for word in result.words],
        "lit": [[base64.b64encode(row.tobytes()).decode() for row in word] for word in (lit * 255).astype(np.uint8)],
        "place": [[where[n] for n in word] for word in flat.argmax(-1)],
        "times": [[round(float(value), 1) for value in word] for word in times.max(-1)],
        "shares": [[[round(100 * float(share)) for share in row] for row in word] for word in shares],
        "said": [texts(language)["ui.attention.line"] for language in LANGUAGES],
        "places": [
            [text(f"ui.attention.{row}.{column}", language) for row in ROWS for column in COLUMNS]
            for language in LANGUAGES
        ],
    }


def _with_mean(shares: np.ndarray) -> np.ndarray:
    """(W, K, ...) -> (W, K + 1, ...), the last being the mean of the others."""
    return np.concatenate([shares, shares.mean(1, keepdims=True)], axis=1)


def _place(regions: tuple[Region, ...], n: int, rows: int, columns: int) -> int:
    """Which ninth of the photo a place is in, row by row."""
    part, rest = divmod(n, rows * columns)
    row, column = divmod(rest, columns)
    region = regions[part]
    x = region.left + region.width * (column + 0.5) / columns
    y = region.top + region.height * (row + 0.5) / rows
    return 3 * min(2, int(3 * y)) + min(2, int(3 * x))


def _part(region: Region, rows: int, columns: int) -> str:
    """The places of a part of the photo, over it."""
    at = (("left", region.left), ("top", region.top), ("width", region.width), ("height", region.height))
    style = ";".join(f"{name}:{100 * share:.2f}%" for name, share in at)
    grid = f"grid-template:repeat({rows},1fr)/repeat({columns},1fr)"
    return f'<div class="attention-part" style="{style};{grid}" aria-hidden="true">{"<i></i>" * (rows * columns)}</div>'


def _words(words: tuple[str, ...], language: str, chosen: int) -> str:
    """The caption as a choice of one of its words; marks between them cannot be chosen."""
    shown, offered = [], choosable(words)
    for n, word in enumerate(words):
        bare = word.strip()
        if n not in offered:
            shown.append(html.escape(bare))
            continue
        gap = " " if n and word[:1].isspace() else ""
        checked = " checked" if n == chosen else ""
        shown.append(f'{gap}<label><input type="radio" value="{n}"{checked}><span>{html.escape(bare)}</span></label>')
    legend = f'<legend class="over">{both("ui.attention.choose")}</legend>'
    kind = f'class="attention-words sentence" data-of="word" lang="{language}"'
    return f"<fieldset {kind}>{legend}<div>{''.join(shown)}</div></fieldset>"


def _layers(n_blocks: int) -> str:
    """The choice of a block of the decoder, the last one first, or the mean of all."""
    names = [(str(n + 1), str(n + 1)) for n in range(n_blocks)]
    names.append((text("ui.attention.mean", "en"), text("ui.attention.mean", "zh")))
    choices = "".join(
        f'<label><input type="radio" value="{n}"{" checked" if n == n_blocks - 1 else ""}>'
        f"<span>{spans(*name)}</span></label>"
        for n, name in enumerate(names)
    )
    legend = f"<legend>{both('ui.attention.layer')}</legend>"
    return f'<fieldset class="attention-layers" data-of="layer">{legend}{choices}</fieldset>'
