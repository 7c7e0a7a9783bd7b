"""What gradio lacks inside the page: only uploads are taken as media, and a wrong call gets a sentence."""

from __future__ import annotations

import os
import traceback
from collections.abc import Awaitable, Callable
from itertools import dropwhile
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import utils

from engines import RequestError, UserError
from studio.i18n import page_language

GRADIO = Path(gr.__file__).parent
OURS = (Path(__file__).parent, Path(__file__).parents[1] / "engines")

WRAPPERS = (Path(__file__), Path(__file__).with_name("event_streams.py"))
"""Our files through which gradio calls itself."""
WRONG_INPUT = (LookupError, ValueError, TypeError, AttributeError, AssertionError, RecursionError)
"""What gradio's routes raise for a body that they did not expect."""


def restrict_uploads(blocks: gr.Blocks) -> None:
    """Take as media only what was uploaded: no path of this machine, no address for the server to fetch.

    Gradio checks paths only in a page it launched itself, and fetches what a request gives as an address. A mounted
    page (gradio 6.31) counts as not launched: without this any caller could have any file of this machine described.
    """
    blocks.has_launched = True
    blocks.is_running = True
    for block in blocks.blocks.values():
        block.async_move_resource_to_block_cache = _local_only(block.async_move_resource_to_block_cache)


def _local_only(move: Callable[[Any], Awaitable[str | None]]) -> Callable[[Any], Awaitable[str | None]]:
    async def moved(source: Any) -> str | None:
        if "://" in str(source):
            raise gr.Error("Files are uploaded here, not fetched.", print_exception=False)
        return await move(source)

    return moved


def uploaded(path: str) -> Path:
    """The resolved path, checked to be in the upload folder. Raises RequestError.

    Gradio's own check passes over a photo that comes without its "meta". The file's time is set to now: uploads are
    deleted a while after they were last used.
    """
    real = Path(path).resolve() if isinstance(path, str) and "\0" not in path else Path("/")
    if not real.is_relative_to(Path(utils.get_upload_folder()).resolve()):
        raise RequestError("not_uploaded_here", "This file was not uploaded here; drop it again.")
    if real.is_file():
        os.utime(real)
    return real


def explain_errors(blocks: gr.Blocks, failure: Callable[[BaseException], UserError]) -> None:
    """Turn what gradio raises for a call that it cannot process into an error with a sentence.

    Without this gradio 6.31 prints a traceback and answers `{"error": null}`. failure: logs a defect, gives a sentence.
    """
    process = blocks.process_api

    async def processed(*args: Any, **values: Any) -> Any:
        try:
            return await process(*args, **values)
        except gr.Error:
            raise
        except Exception as error:  # the edge of the page, as in Harden
            told = wrong_call() if is_wrong_call(error) else failure(error)
            request = values.get("request")
            language = page_language(request) if isinstance(request, gr.Request) else "en"
            raise gr.Error(told.text(language), print_exception=False) from None

    blocks.process_api = processed


def wrong_call() -> UserError:
    """The sentence for a call that does not fit its endpoint."""
    return RequestError("http.wrong", "This call is not one that the studio takes; its API page lists them: /api.")


def is_wrong_call(error: BaseException) -> bool:
    """Whether gradio raised this because of its input; an error raised in our code is a defect."""
    if not isinstance(error, WRONG_INPUT) and not type(error).__module__.startswith("gradio."):
        return False
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    behind = dropwhile(lambda file: not file.is_relative_to(GRADIO), files)
    return not any(file.is_relative_to(root) for file in behind for root in OURS if file not in WRAPPERS)
