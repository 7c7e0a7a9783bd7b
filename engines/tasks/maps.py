"""A map of a collection: its files on a plane, similar ones of any kind together, in named clusters."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from engines.errors import RequestError
from engines.index import Collection, FileMean, open_collection
from engines.protocol import KINDS, Kind, MapCluster, MapPoint, MapRequest, MapResult, Progress

N_CLUSTERS = 16
"""Maximum clusters."""
N_CANDIDATES = 8
"""Candidate names per cluster."""
LEAST_SHARE = 0.4
"""A name stands for a cluster if a search for it would find this share of its files: on the samples of this program,
names chosen by the mean of a cluster alone called horses sheep, and spoken announcements a screen."""
ALIKE = 0.5
"""Cosine from which two names count as synonyms."""
PRIOR = 50
"""Pairs of files that count beside those of two kinds where their spread is estimated."""
EVERYDAY = """
music 音乐, singing 唱歌, a person talking 说话声, applause 掌声, laughter 笑声, crowd 人群, traffic 车流,
engine 发动机, siren 警笛, alarm 警报, rain 雨, thunder 雷声, wind 风, sea waves 海浪, running water 流水,
fire 火, birdsong 鸟鸣, crying baby 婴儿哭声, helicopter 直升机, drilling 钻孔, sawing 锯木, footsteps 脚步声,
bell 铃声, children playing 孩子玩耍, people 人们, man 男人, woman 女人, child 孩子, family 家人,
portrait 人像, party 聚会, wedding 婚礼, football 足球, basketball 篮球, running 跑步, cycling 骑车,
swimming 游泳, skiing 滑雪, climbing 攀登, surfing 冲浪, dancing 跳舞, skateboarding 滑板, horse 马, cow 牛,
sheep 羊, beach 海滩, sea 大海, river 河流, lake 湖, waterfall 瀑布, mountains 山, forest 森林, trees 树木,
grass 草地, garden 花园, flowers 花, snow 雪, desert 沙漠, sky 天空, sunset 日落, night 夜晚, city 城市,
street 街道, building 建筑, room 房间, kitchen 厨房, food 食物, drinks 饮料, cake 蛋糕, space 太空,
airport 机场, railway 铁路, market 集市, shopping 购物, museum 博物馆, painting 绘画, drawing 图画,
statue 雕像, book 书, work 工作, office 办公室, money 金钱, school 学校, travel 旅行, weather 天气, news 新闻,
politics 政治, science 科学, history 历史, health 健康, law 法律, licence 许可证, telephone call 电话,
computer 电脑, screenshot 截图, map 地图, letter 信件
"""
"""What people and places do and sound like, beside the things that a model has names for: English and Chinese."""


class Namer(Protocol):
    """A space that texts are placed in, with the names a model knows."""

    @property
    def model_digest(self) -> str: ...

    def text_vector(self, text: str) -> np.ndarray: ...

    def query_vector(self, text: str, kind: Kind) -> np.ndarray: ...

    def fit(self, score: float, query: Kind, row: Kind) -> float: ...

    def names(self) -> tuple[Sequence[tuple[str, str]], np.ndarray]:
        """(English, Chinese) names of things, and their vectors (n, D)."""
        ...


def stream(space: Namer, request: MapRequest) -> Iterator[MapResult]:
    """The map. "empty": the collection has nothing of these kinds. Raises CollectionError like a search, and
    RequestError for a collection at an address."""
    yield MapResult(request=request, progress=Progress("drawing"))
    with open_collection(request.collection, model_digest=space.model_digest) as collection:
        if not isinstance(collection, Collection):
            raise RequestError("map_address", "Maps are drawn of collections in a file only.")
        means, n_files = collection.means(request.kinds, request.n_most)
    if not means:
        yield MapResult(request=request, end="empty")
        return
    files, kinds, vectors = _files(means)
    placed = pca(vectors)
    method = "pca"
    if len(files) >= FEWEST:
        method = "tsne"
        layouts = tsne(_similarity(vectors, kinds), placed)
        for step in range(N_ITERATIONS):
            placed = next(layouts)
            yield MapResult(request=request, progress=Progress("drawing", step + 1, N_ITERATIONS))
    placed = _fitted(placed)
    numbers = kmeans(placed, _n_clusters(len(files)))
    names, codes = yield from _names(space, request)
    likely = _likely(np.stack([vectors[numbers == i].mean(0) for i in range(int(numbers.max()) + 1)]), codes)
    clusters = []
    taken: set[int] = set()
    for i, candidates in enumerate(likely):
        yield MapResult(request=request, progress=Progress("drawing"))
        paths = {mean.path for mean, number in zip(files, numbers, strict=True) if number == i}
        chosen = _fitting(space, candidates, names, codes, [mean for mean in means if mean.path in paths], taken)
        taken |= set(chosen[:1])
        x, y = np.median(placed[numbers == i], axis=0)
        en, zh = ", ".join(names[n][0] for n in chosen), "、".join(names[n][1] for n in chosen)
        clusters.append(MapCluster(en, zh, float(x), float(y), len(paths)))
    points = tuple(
        MapPoint(Path(mean.path), kind, float(x), float(y), int(cluster), mean.taken)
        for mean, kind, (x, y), cluster in zip(files, kinds, placed, numbers, strict=True)
    )
    yield MapResult(
        request=request, points=points, clusters=tuple(clusters), n_files=n_files, method=method, end="finished"
    )


def _n_clusters(n_files: int) -> int:
    return min(N_CLUSTERS, max(1, round(n_files**0.5)))


def _files(means: Sequence[FileMean]) -> tuple[list[FileMean], list[Kind], np.ndarray]:
    """Each file once: the kind that most of its rows have, and its vector (n, D) of length 1.

    Text, photos and sounds lie in different corners of the shared space (Liang et al., "Mind the Gap", 2022): the mean
    of each kind is taken out, or a map would show little more than the kinds.
    """
    vectors = np.stack([mean.vector for mean in means])
    kinds = np.array([KINDS.index(mean.kind) for mean in means])
    for kind in set(kinds.tolist()):
        of_kind = kinds == kind
        if of_kind.sum() > 2:
            vectors[of_kind] -= vectors[of_kind].mean(0)
    rows: dict[str, list[int]] = {}
    for i, mean in enumerate(means):
        rows.setdefault(mean.path, []).append(i)
    whole = np.stack([sum(means[i].n_rows * vectors[i] for i in group) for group in rows.values()])
    firsts = [means[max(group, key=lambda i: means[i].n_rows)] for group in rows.values()]
    return firsts, [first.kind for first in firsts], whole / _lengths(whole)


def _similarity(vectors: np.ndarray, kinds: Sequence[Kind]) -> np.ndarray:
    """(n, n): cosines in standard deviations of those of their pair of kinds, since between kinds they vary less.

    A file's cosine with itself counts: without it a topic would have fewer pairs within a kind than between two, and
    the files of one kind would be more alike. Of few pairs the deviation is hardly known: it is drawn towards that of
    all, as if `PRIOR` more had been seen.
    """
    cosines = vectors @ vectors.T
    numbers = np.array([KINDS.index(kind) for kind in kinds])
    present = sorted(set(numbers.tolist()))
    whole = max(float((cosines**2).mean()), 1e-9)
    similarity = np.empty_like(cosines)
    for a, b in itertools.product(present, repeat=2):
        block = np.ix_(numbers == a, numbers == b)
        part = cosines[block]
        variance = (float((part**2).sum()) + PRIOR * whole) / (part.size + PRIOR)
        similarity[block] = part / variance**0.5
    return similarity


def _fitted(placed: np.ndarray) -> np.ndarray:
    """(n, 2) scaled so that it fills a square of side 1."""
    low, high = placed.min(0), placed.max(0)
    fitted: np.ndarray = np.where(high - low < 1e-6, 0.5, (placed - low) / np.maximum(high - low, 1e-6))
    return fitted


def _names(space: Namer, request: MapRequest) -> Generator[MapResult, None, tuple[list[tuple[str, str]], np.ndarray]]:
    """The model's names and the everyday words, and their codes (V, D): their vectors less the mean of all."""
    names, vectors = space.names()
    words = [tuple(pair.strip().rsplit(" ", 1)) for pair in EVERYDAY.replace("\n", " ").split(",")]
    known = {name for name, _ in names}
    placed = []
    everyday = [(en, zh) for en, zh in words if en not in known]
    for en, _ in everyday:
        placed.append(space.text_vector(en))
        yield MapResult(request=request, progress=Progress("drawing"))
    joined = [*names, *everyday]
    codes = np.concatenate([vectors, np.stack(placed)]) if len(vectors) else np.stack(placed)
    codes = codes - codes.mean(0)
    return joined, codes / _lengths(codes)


def _likely(means: np.ndarray, codes: np.ndarray) -> list[list[int]]:
    """The names that set each cluster apart from the others, the likeliest first. means: (k, D); codes: (V, D)."""
    apart = means - means.mean(0) if len(means) > 2 else means
    cosines = (apart / _lengths(apart)) @ codes.T  # (k, V)
    likeliest: list[list[int]] = np.argsort(-cosines, axis=1)[:, :N_CANDIDATES].tolist()
    return likeliest


def _fitting(
    space: Namer,
    candidates: Sequence[int],
    names: Sequence[tuple[str, str]],
    codes: np.ndarray,
    members: Sequence[FileMean],
    taken: set[int],
) -> list[int]:
    """At most two of the names that a cluster's files fit, the best first; none says the same as another, and the first
    one is no other cluster's."""
    found: list[tuple[float, int]] = []
    for word in candidates:
        queries = {kind: space.query_vector(names[word][0], kind) for kind in {member.kind for member in members}}
        fits: dict[str, float] = {}
        for member in members:
            score = float(queries[member.kind] @ _unit(member.vector))
            fits[member.path] = max(space.fit(score, "text", member.kind), fits.get(member.path, 0.0))
        share = sum(fit >= 0.5 for fit in fits.values()) / len(fits)
        if share >= LEAST_SHARE:
            found.append((sum(fits.values()) / len(fits), word))
    chosen: list[int] = []
    for _, word in sorted(found, reverse=True):
        if all(codes[word] @ codes[other] < ALIKE for other in chosen) and (chosen or word not in taken):
            chosen.append(word)
    return chosen[:2]


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _lengths(vectors: np.ndarray) -> np.ndarray:
    return np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


# --- layout ----------------------------------------------------------------------------------------------------------

# Principal components, t-SNE and k-means in NumPy: the same picture every time on one computer.
# Axes: n points, D numbers of a vector, m nearest neighbours of a point.

PERPLEXITY = 15.0
"""About how many neighbours a point is kept close to; a third of the points where there are fewer."""
N_ITERATIONS = 300
N_EXAGGERATED = 100
"""The first steps, in which neighbours attract each other 12 times as much (van der Maaten and Hinton 2008)."""
FEWEST = 8
"""With fewer points t-SNE says nothing."""
N_TRIES = 8
"""Random starts of k-means."""


def pca(vectors: np.ndarray) -> np.ndarray:
    """(n, D) -> (n, 2): along the two directions of most variance."""
    centred = vectors - vectors.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    placed = np.zeros((len(vectors), 2), np.float32)
    flat = centred @ directions[:2].T
    placed[:, : flat.shape[1]] = flat
    return placed


def tsne(similarity: np.ndarray, start: np.ndarray) -> Iterator[np.ndarray]:
    """(n, n) similarities, of which only differences count, and a first layout (n, 2) -> the layout after each step.

    Exact t-SNE from a layout by principal components (Kobak and Berens 2019), so nothing is left to chance.
    """
    n = len(similarity)
    attraction = _neighbours(similarity, min(PERPLEXITY, (n - 1) / 3.0))
    placed = (start / max(float(start[:, 0].std()), 1e-9) * 1e-2).astype(np.float32)
    moved, gains = np.zeros_like(placed), np.ones_like(placed)
    rate = max(n / 12.0 / 4.0, 20.0)
    for step in range(N_ITERATIONS):
        squares = (placed**2).sum(1)
        near = 1.0 / (1.0 + np.maximum(squares[:, None] + squares[None] - 2.0 * placed @ placed.T, 0.0))
        np.fill_diagonal(near, 0.0)
        pull = (12.0 if step < N_EXAGGERATED else 1.0) * attraction - near / max(float(near.sum()), 1e-12)
        pull *= near
        gradient = 4.0 * (pull.sum(1)[:, None] * placed - pull @ placed)
        gains = np.maximum(np.where(np.sign(gradient) == np.sign(moved), gains * 0.8, gains + 0.2), 0.01)
        moved = (0.5 if step < N_EXAGGERATED else 0.8) * moved - rate * gains * gradient
        placed = placed + moved - (placed + moved).mean(0)
        yield placed


def _neighbours(similarity: np.ndarray, perplexity: float) -> np.ndarray:
    """(n, n) joint probabilities: how much each pair of points belongs together, by their nearest neighbours."""
    n = len(similarity)
    m = min(n - 1, int(3 * perplexity) + 1)
    similarity = similarity.astype(np.float32, copy=True)
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argpartition(-similarity, m - 1, axis=1)[:, :m]  # (n, m)
    distance = -np.take_along_axis(similarity, nearest, axis=1)
    distance -= distance.min(1, keepdims=True)
    low, high, sharpness = np.zeros(n), np.full(n, np.inf), np.ones(n)
    for _ in range(60):  # bisection: the entropy of each row is to be log(perplexity)
        weights = np.exp(-distance * sharpness[:, None])
        weights /= weights.sum(1, keepdims=True)
        entropy = -(weights * np.log(np.maximum(weights, 1e-12))).sum(1)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, sharpness, low), np.where(wide, high, sharpness)
        sharpness = np.where(np.isinf(high), 2.0 * sharpness, (low + high) / 2.0)
    joint = np.zeros((n, n), np.float32)
    np.put_along_axis(joint, nearest, weights.astype(np.float32), axis=1)
    return (joint + joint.T) / (2.0 * n)


def kmeans(points: np.ndarray, k: int) -> np.ndarray:
    """(n, 2) -> the cluster of each point, 0 to k - 1; the tightest of N_TRIES starts."""
    random = np.random.default_rng(0)
    best, least = np.zeros(len(points), int), np.inf
    for _ in range(N_TRIES):
        middles = _spread(points, k, random)
        for _ in range(50):
            distance = ((points[:, None] - middles[None]) ** 2).sum(2)
            chosen = distance.argmin(1)
            means = [points[chosen == i].mean(0) if (chosen == i).any() else middles[i] for i in range(len(middles))]
            if np.allclose(means, middles):
                break
            middles = np.stack(means)
        spread = float(distance.min(1).sum())
        if spread < least:
            best, least = chosen, spread
    return np.unique(best, return_inverse=True)[1].reshape(-1)


def _spread(points: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """First middles, the farther apart the likelier (k-means++, Arthur and Vassilvitskii 2007)."""
    middles = [points[random.integers(len(points))]]
    for _ in range(k - 1):
        distance = ((points[:, None] - np.stack(middles)[None]) ** 2).sum(2).min(1)
        total = float(distance.sum())
        if total <= 0.0:
            break
        middles.append(points[random.choice(len(points), p=distance / total)])
    return np.stack(middles)
