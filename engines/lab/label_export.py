"""A label set to take along: the adapted head as safetensors, and a script that classifies with it.

The script is `assets/lab/classify.py`; it needs no studio, and given embeddings nothing but numpy and safetensors.
"""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np

from engines.lab.fewshot import LabelSet, adapted_head
from engines.paths import ASSETS

SCRIPT = ASSETS / "lab" / "classify.py"


def exported(labels: LabelSet) -> bytes:
    """A zip of the script and the head, which computes what `fewshot.recognise` does."""
    from safetensors.numpy import save

    adapted, _ = adapted_head(labels)
    arrays = {"centre": adapted.centre[0], "weights": adapted.weights, "threshold": adapted.threshold[0]}
    arrays["scale"] = adapted.head.scale
    if adapted.head.metric is not None:
        arrays["metric"] = adapted.head.metric
    tensors = {name: np.ascontiguousarray(array.numpy()) for name, array in arrays.items()}
    about = {"name": labels.name, "labels": labels.labels, "model_digest": labels.model_digest}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as folder:
        folder.writestr("head.safetensors", save(tensors, {"about": json.dumps(about, ensure_ascii=False)}))
        folder.write(SCRIPT, "classify.py")
    return packed.getvalue()
