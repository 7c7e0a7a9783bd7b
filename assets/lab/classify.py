"""Classify photos or sounds by a label set that was taught in Fusion Studio.

    python classify.py photo.jpg other.jpg          # needs the package fusion-studio, whose model embeds the files
    python classify.py --vectors vectors.npy        # needs numpy and safetensors only

head.safetensors beside this file holds what was learnt: the centre of the embeddings, a metric, a weight vector for
each label, and the threshold below which a file is none of them. Embeddings are those of the built-in model, (n, 256):
`POST /v1/embeddings` of a studio gives them too.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors import safe_open

HEAD = Path(__file__).with_name("head.safetensors")


def load(path=HEAD):
    """The arrays of a head and what is known of it: {"name", "labels", "model_digest"}."""
    with safe_open(path, "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["about"])


def unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def probabilities(head, vectors):
    """Embeddings (n, D) -> probabilities (n, C + 1); the last is "none of these"."""
    centred = vectors - head["centre"]
    if "metric" in head:
        centred = centred @ head["metric"]
    cosines = unit(centred) @ head["weights"].T
    none = np.full((len(cosines), 1), head["threshold"])
    logits = head["scale"] * np.concatenate([cosines, none], 1)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def embedded(files, model_digest):
    """The embeddings of files by the model that the labels were taught with."""
    from engines import EmbedRequest, open_host, run

    with_model = open_host()
    if with_model.info.model_digest != model_digest:
        raise SystemExit("These labels were taught with another version of the model; teach and export them again.")
    try:
        return np.stack([run(with_model, EmbedRequest(media=file)).vector for file in files])
    finally:
        with_model.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--vectors", type=Path, help="embeddings (n, D) as .npy, in place of files")
    options = parser.parse_args()
    if bool(options.files) == bool(options.vectors):
        parser.error("name files, or --vectors")
    head, about = load()
    if options.vectors:
        vectors = np.load(options.vectors, allow_pickle=False)
        names = [f"row {n}" for n in range(len(vectors))]
    else:
        vectors, names = embedded(options.files, about["model_digest"]), options.files
    words = [*about["labels"], "none of these"]
    for name, shares in zip(names, probabilities(head, vectors)):
        best = int(shares.argmax())
        print(f"{name}: {words[best]} ({100 * shares[best]:.0f} %)")


if __name__ == "__main__":
    main()
