"""Keep the libraries of this process from looking up other machines by themselves."""

from __future__ import annotations

import os


def stay_offline() -> None:
    """Set what gradio and huggingface_hub read; whether the owner allows the hub is kept apart, in a name of ours."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("FUSION_STUDIO_OFFLINE", os.environ.get("HF_HUB_OFFLINE", "0"))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
