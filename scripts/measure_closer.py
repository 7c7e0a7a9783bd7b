"""Measure how often the classifier of names is right about a photo seen whole, from closer, and both: `CLOSER`.

python -m scripts.measure_closer DATA MODEL [--closer 0.65 0.75 0.85]

The photos of both splits of `naming`. They are of ImageNet's training set, which the classifier has seen, so the ways
to look can be compared with each other, not with what is published.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from engines import archives
from engines.encoder import MediaEncoder
from engines.model import checkpoint
from engines.model.features import CLOSER, middle


def main() -> None:
    """Print, for each way to look, the share of photos whose likeliest name is right and the mean log-loss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the data sets")
    parser.add_argument("model", type=Path, help="a model folder")
    parser.add_argument("--closer", type=float, nargs="+", default=[CLOSER], help="shares of height and width")
    args = parser.parse_args()
    torch.set_num_threads(1)
    towers = MediaEncoder(checkpoint.load(args.model))
    photos = [photo for split in ("dev", "train") for photo in archives.named_photos(args.data, split)]
    labels = np.array([photo.label for photo in photos])
    views: list[np.ndarray] = []  # of each photo (1 + closer, C)
    with torch.inference_mode():
        for photo in photos:
            pixels = photo.load().pixels
            seen = towers.name([pixels, *(middle(pixels, share) for share in args.closer)])
            assert seen is not None, "the model has names"
            views.append(seen)
    probabilities = np.stack(views)
    report("whole", probabilities[:, 0], labels)
    for n, share in enumerate(args.closer, 1):
        report(f"middle {share:g}", probabilities[:, n], labels)
        report(f"whole and middle {share:g}", probabilities[:, [0, n]].mean(1), labels)


def report(name: str, probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Print one line. probabilities: (N, C), labels: (N,)."""
    right = 100 * (probabilities.argmax(1) == labels).mean()
    loss = -np.log(probabilities[np.arange(len(labels)), labels] + 1e-9).mean()
    print(f"{name:22s} {right:.1f} % of {len(labels)} right, log-loss {loss:.3f}")


if __name__ == "__main__":
    main()
