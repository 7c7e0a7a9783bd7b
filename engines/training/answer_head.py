"""Train the classifier of short answers (`engines.model.answer_head`) on a model whose towers stay as they are.

    python -m engines.training.answer_head RUN [--model FOLDER] [--out FOLDER]

RUN holds the feature maps that `engines.training.train` stored. The questions by people are about rooms, and so are
their answers; the head must know when it is asked about anything else. Their questions put to photos of anything else,
and questions made from captions whose answer is not on the list (whether there is a dog, what somebody does), put to
rooms and to other photos, therefore belong to no answer of the list. `--epochs` was chosen on the dev split.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.evaluation.metrics import bare_answer
from engines.model import checkpoint
from engines.model.answer_head import OTHER, AnswerHead
from engines.training import caption_questions
from engines.training.batches import SIDED, pad
from engines.training.feature_cache import open_photos
from engines.training.sources import Photos, PhotoSources

MIN_COUNT = 3
"""An answer given less often is left to the decoder."""
EPOCHS, BATCH, RATE, WARM_STEPS = 10, 64, 1e-3, 100
N_CAPTIONED = 2500
"""Photos with captions, and at most as many of known classes, that are asked what they are not about."""
MAX_TOKENS = 40


@dataclass(frozen=True)
class Example:
    """A question about the picture in row `photo`; answer: in the form in which answers are compared."""

    photo: int
    question: str
    answer: str


def by_people(files: Sequence[Photos], first: int) -> Iterator[Example]:
    """Questions by people about the photos of `files`, counted on from `first`; none about sides of mirrored ones."""
    photo = first
    for file in files:
        for meta in file.meta:
            for question, answer in meta["qa"]:
                if not (meta["mirrored"] and SIDED.search(question.lower())):
                    yield Example(photo, question, answer)
            photo += 1


def caption_pairs(file: Photos, n: int, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """The questions that the captions of the first n photos allow, with their answers."""
    for meta in file.meta[:n]:
        for question in caption_questions.questions(meta["captions"]["en"], rng, "en"):
            yield question.text, question.answer


def misplaced(questions: Sequence[str], photos: Sequence[int], rng: np.random.Generator) -> Iterator[Example]:
    """A random one of the questions for each of some photos that it is not about."""
    for photo in photos:
        yield Example(photo, questions[int(rng.integers(len(questions)))], OTHER)


def train(model: checkpoint.Checkpoint, photos: PhotoSources, *, epochs: int = EPOCHS, seed: int = 0) -> AnswerHead:
    """The head, trained on the stored feature maps of photos."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    asked, captioned, named = list(photos.asked), photos.captioned[0], photos.named[0]
    n_asked = sum(map(len, asked))
    n_captioned, n_named = min(N_CAPTIONED, len(captioned)), min(N_CAPTIONED, len(named))
    files = [*((file, len(file)) for file in asked), (captioned, n_captioned), (named, n_named)]
    pictures = torch.cat([_tokens(model, file, n) for file, n in files])
    people = list(by_people(asked, 0))
    counts = Counter(compared(e.answer) for e in by_people(asked[:1], 0))
    kept = [answer for answer, n in counts.most_common() if n >= MIN_COUNT]
    place = {answer: i + 1 for i, answer in enumerate(kept)}
    shown = {compared(e.answer): e.answer for e in reversed(people)}
    unknown = [text for text, answer in caption_pairs(captioned, n_captioned, rng) if compared(answer) not in place]
    elsewhere = range(n_asked, n_asked + n_captioned + n_named)
    examples = [
        *people,
        *misplaced([e.question for e in people], elsewhere, rng),
        *misplaced(unknown, elsewhere[:n_captioned], rng),
        *misplaced(unknown, range(n_asked), rng),
    ]
    wanted = torch.tensor([place.get(compared(e.answer), 0) for e in examples])
    texts = {text: i for i, text in enumerate(dict.fromkeys(e.question for e in examples))}
    states = _states(model, list(texts))
    questions = [texts[e.question] for e in examples]
    rows = torch.tensor([e.photo for e in examples])
    head = AnswerHead(pictures.shape[-1], [OTHER, *(shown[answer] for answer in kept)])
    optimiser = torch.optim.AdamW(head.parameters(), RATE, weight_decay=0.05)
    n_steps = epochs * -(-len(examples) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / WARM_STEPS) * (1 - step / (n_steps + 1))
    )
    for epoch in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(examples)).split(BATCH):
            words, mask = pad([states[questions[i]] for i in batch.tolist()])
            logits = head(words, mask, pictures[rows[batch]])
            loss = F.cross_entropy(logits, wanted[batch], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch + 1} of {epochs}: loss {total / len(examples):.3f}", flush=True)
    return head.eval()


def compared(answer: str) -> str:
    """An answer as answers are compared: without case, punctuation and articles."""
    return " ".join(bare_answer(answer, "en"))


@torch.inference_mode()
def _tokens(model: checkpoint.Checkpoint, file: Photos, n: int) -> Tensor:
    """The first n stored maps through the picture tower's own part -> (n, 64, D) float16."""
    tower = model.model.picture
    dtype = model.model.dtype
    out = []
    for start in range(0, n, 64):
        maps = torch.stack([file[i] for i in range(start, min(start + 64, n))]).to(dtype)
        side = round(maps.shape[1] ** 0.5)
        out.append(tower.adapt(maps.transpose(1, 2).unflatten(2, (side, side))).half())
    return torch.cat(out)


@torch.inference_mode()
def _states(model: checkpoint.Checkpoint, texts: Sequence[str]) -> list[Tensor]:
    """What the text tower makes of each text: (L, D) float16."""
    out: list[Tensor] = []
    for start in range(0, len(texts), 64):
        batch = [torch.tensor(model.tokenizer.encode(text)[:MAX_TOKENS]) for text in texts[start : start + 64]]
        ids, mask = pad(batch)
        states = model.model.read(ids, mask).half()
        out += [row[: len(ids)] for row, ids in zip(states, batch, strict=True)]
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder with stored features")
    parser.add_argument("--model", type=Path, default=checkpoint.BUILTIN)
    parser.add_argument("--out", type=Path, default=None, help="where to write the head (default: beside the model)")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    wanted = parser.parse_args(argv)
    torch.set_num_threads(1)
    model = checkpoint.load(wanted.model, with_parts=False)
    head = train(model, open_photos(wanted.run), epochs=wanted.epochs)
    checkpoint.save_part(wanted.out or wanted.model, head, model.digest)
    print(f"{len(head.answers) - 1} answers, {sum(p.numel() for p in head.parameters()):,} parameters")


if __name__ == "__main__":
    main()
