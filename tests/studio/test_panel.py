import gradio as gr

from studio import components
from studio.tabs.panel import Panel


def test_the_inputs_of_a_tab_are_its_media_then_its_own():
    with gr.Blocks():
        media = components.media_input("caption", ("photo", "clip"))
        language = gr.Radio(["en"])
        run, stop = components.run_stop("caption")
        panel = Panel("caption", media, (language,), gr.HTML(), run, stop, gr.HTML(), gr.HTML())
    assert panel.inputs == [media.kind, media.parts["photo"], media.parts["clip"], language]


def test_stop_is_seen_only_while_something_runs():
    with gr.Blocks():
        run, stop = components.run_stop("caption")
    assert run.visible
    assert not stop.visible
