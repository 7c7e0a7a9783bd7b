"""The card of a result, whatever its task."""

from __future__ import annotations

from engines import AskResult, CaptionResult, IndexResult, Result, SearchResult, TranscribeResult, TranslateResult
from studio import views
from studio.state import AppState
from studio.tabs.speech.view import transcript


def card(state: AppState, result: Result, name: str = "") -> str:
    """A result, finished or not, as its tab shows it. name: its id, if it is registered."""
    shown = state.downloads, state.info_of(result)
    match result:
        case CaptionResult():
            return views.caption(result, *shown)
        case AskResult():
            return views.chat({name or state.downloads.add_result(result): result}, *shown)
        case SearchResult():
            return views.hits(result, *shown)
        case IndexResult():
            return views.index(result, *shown)
        case TranslateResult():
            return views.translation(result, *shown)
        case TranscribeResult():
            return transcript(result, *shown)
    raise TypeError(f"no tab shows a {type(result).__name__}")
