from pathlib import Path

import gradio as gr

from engines import CaptionRequest
from studio import components
from studio.tabs import caption


def test_the_request_is_made_of_what_is_seen():
    with gr.Blocks():
        media = components.media_input("caption", ("photo", "clip", "sound"))
    assert caption.build(media, "clip", "a.jpg", "b.mp4", None, "zh") == (
        CaptionRequest(media=Path("b.mp4"), language="zh"),
    )
