"""Word lists of training, ours, read from `lexicon.json`: words that name nothing, colours, sports, places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LEXICON: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
