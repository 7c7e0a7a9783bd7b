"""Checkpoints one may want, and how many parameters each has, counted from its config; nothing is fetched.

A config in known_checkpoints.json holds what differs from transformers' defaults for its architecture, as published
with the checkpoint. Tabs are what the families of `engines.hosts.pretrained` serve. `scripts.tables` shows them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True, kw_only=True)
class Known:
    """A checkpoint on the hub. task: the route to type, "" for all. auto: the class of transformers that is counted."""

    name: str
    tabs: list[str]
    model_type: str
    auto: str
    licence: str
    task: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    def n_parameters(self) -> int:
        """Counted on torch's meta device, which takes no memory; shared ones once."""
        import transformers

        config = transformers.AutoConfig.for_model(self.model_type, **self.config)
        with torch.device("meta"):
            model = getattr(transformers, self.auto).from_config(config)
        return sum(parameter.numel() for parameter in model.parameters())

    @property
    def line(self) -> str:
        """What is typed to open it."""
        return f"--model {self.task}={self.name}" if self.task else f"--model {self.name}"


KNOWN = [Known(**row) for row in json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))]
