from pathlib import Path

import gradio as gr
import pytest

from engines import CaptionRequest, RequestError
from studio import components
from studio.tabs import caption


def test_the_request_is_made_of_what_is_seen():
    with gr.Blocks():
        media = components.media_input("caption", ("photo", "clip", "sound"))
    assert caption.build(media, "clip", "a.jpg", "b.mp4", None, "zh") == (
        CaptionRequest(media=Path("b.mp4"), language="zh"),
    )


def test_nothing_dropped_is_said():
    with gr.Blocks():
        media = components.media_input("caption", ("photo", "clip", "sound"))
    with pytest.raises(RequestError, match="Drop a photo first"):
        caption.build(media, "photo", None, None, None, "en")
