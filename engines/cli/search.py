"""index, search, map and duplicates: collections on the command line."""

from __future__ import annotations

import argparse
import base64
import csv
import html
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from engines.cli.inputs import is_path, named, passed_over
from engines.cli.models import open_for, routes_of
from engines.cli.outputs import Meter, plain, print_json, write_output
from engines.cli.process import WrongUsage, usage
from engines.errors import MediaError, RequestError
from engines.protocol import (
    KINDS,
    Filter,
    Hit,
    IndexRequest,
    IndexResult,
    MapRequest,
    MapResult,
    Result,
    SearchRequest,
    SearchResult,
    Term,
    run,
)
from engines.settings import Settings


def _where(word: str) -> Path | str:
    return word if "://" in word else named(word)


# --- index -------------------------------------------------------------------------------------------------------


def index_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("folder", type=named, help="what is to be searched; a single file is fine, too")
    sub.add_argument("collection", type=_where, help="a file or s3://bucket/prefix; made if it is not there")
    sub.add_argument("--workers", type=int, metavar="N", help="processes that read files (default: 1; with --ray, one "
                     "for each core of the cluster)")  # fmt: skip
    sub.add_argument("--ray", metavar="ADDRESS", help="read on a Ray cluster: auto, local, or ray://host:10001")
    sub.add_argument(
        "--prune", action="store_true", help="take files out even if their folder is empty now or cannot be read"
    )


def index(options: argparse.Namespace) -> int:
    if options.workers is not None and options.workers < 1:
        raise WrongUsage("cli_workers", "{n} workers read nothing; choose 1 or more.", n=options.workers)
    request = IndexRequest(folder=options.folder, collection=options.collection, prune=options.prune)
    if options.ray is None and options.workers in (None, 1):
        with closing(open_for(options, "search")) as host:
            result = _last(options, host.stream(request))
    else:
        result = _by_workers(options, request)
    assert isinstance(result, IndexResult)
    if options.json:
        print_json(plain(result))
    else:
        counts = f"{result.n_added} added, {result.n_unchanged} unchanged, {result.n_removed} removed"
        print(f"{counts}; {result.n_rows} rows in all")
    if result.renewed:
        print("the collection was made anew: it was damaged, or another model made it", file=sys.stderr)
    if result.n_missing:
        kept = "1 file was" if result.n_missing == 1 else f"{result.n_missing} files were"
        why = "the folder is empty now or cannot be read; --prune removes what is gone"
        print(f"{kept} kept: {why}", file=sys.stderr)
    if result.n_passed and not options.quiet:
        print(passed_over(result.passed, result.n_passed), file=sys.stderr)
    for note in result.notes if not options.quiet else ():
        print(note.en, file=sys.stderr)
    for name, reason in result.failures:
        print(f"{name}: {reason.en}", file=sys.stderr)
    return 1 if result.failures else 0


def _by_workers(options: argparse.Namespace, request: IndexRequest) -> Result:
    from engines.tasks import workers

    opener = partial(options.opener, routes_of(options, "search"), Settings(device=options.device, n_threads=1))
    if options.ray is None:
        return _last(options, workers.index(opener, request, options.workers))
    with workers.ray_workers(options.ray) as (start, n_cores):
        return _last(options, workers.index(opener, request, options.workers or n_cores, start))


def _last(options: argparse.Namespace, results: Iterator[Result]) -> Result:
    last: Result | None = None
    with Meter(options, 1) as meter:
        for last in results:
            meter.show(last)
    assert last is not None, "a stream ends with a result"
    return last


# --- search ------------------------------------------------------------------------------------------------------


def search_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("collection", type=_where, help="a file or address that `index` made")
    sub.add_argument("query", nargs="*", metavar="QUERY", help=_QUERY)
    sub.add_argument("--file", action="append", default=[], metavar="FILE", help="a file, whatever its name looks like")
    sub.add_argument("--kinds", default=",".join(KINDS), help=f"of hits, with commas (default: {','.join(KINDS)})")
    sub.add_argument("-k", type=int, default=12, help="how many hits (default: 12)")
    sub.add_argument("--since", default="", metavar="DATE", help="files from this date on: 2024, 2024-06 or 2024-06-01")
    sub.add_argument("--until", default="", metavar="DATE", help="files up to this date, which is included")
    sub.add_argument("--near", metavar="LAT,LON[,KM]", help="files taken near a place (default: within 10 km)")
    sub.add_argument("--camera", default="", metavar="NAME", help="files whose camera has this in its make or model")
    forms = sub.add_mutually_exclusive_group()
    forms.add_argument("--paths", action="store_true", help="print only the paths of the hits, each file once")
    forms.add_argument("--csv", action="store_true", help="print a table with commas")
    forms.add_argument("--html", type=named, metavar="FILE", help="write a page with a picture of each hit")
    sub.add_argument("-0", "--null", action="store_true", help="the same with NUL after each path, for `xargs -0`")


def search(options: argparse.Namespace) -> int:
    with usage():
        terms = (*terms_of(options.query), *(Term(_query_file(name)) for name in options.file))
        request = SearchRequest(
            query=terms[0].media if len(terms) == 1 and terms[0].weight == 1.0 else terms,
            collection=options.collection,
            kinds=frozenset(kind.strip() for kind in options.kinds.split(",") if kind.strip()),
            k=options.k,
            only=_filter(options),
        )
    with closing(open_for(options, "search")) as host:
        result = run(host, request)
    assert isinstance(result, SearchResult)
    if options.html is not None:
        write_output(options.html, contact_sheet(result))
    if options.json:
        print_json(plain(result))
    elif options.paths or options.null:
        _print_paths(dict.fromkeys(str(hit.path) for hit in result.hits), options.null)
    elif options.csv:
        _print_csv(result.hits)
    elif options.html is None:
        for hit in result.hits:
            print(f"{hit.fit:4.0%}  {hit.kind:6}  {hit.path}{_span(hit)}{_why(hit)}")
        if not result.hits:
            print("(nothing found)")
    return 0


_QUERY = """text or a file, or a mixture of them: + and - between two (as words of their own) add the next one or take
it away, a number and a colon in front give its weight (2:snow)"""
_WEIGHT = re.compile(r"(\d+(?:\.\d+)?):(?!\d\d\b)(.+)", re.DOTALL)
"""A weight and its term. 10:30 is a time."""


def terms_of(words: Sequence[str]) -> tuple[Term, ...]:
    """The terms that words make: "2:a dog" + photo.jpg - snow. Words that follow each other are one text.

    Raises RequestError for a sign without a term, MediaError for a file that is not there.
    """
    terms: list[Term] = []
    sign, held = 1.0, list[str]()

    def close(by: str) -> None:
        if not held:
            if terms or by != "-":  # one minus in front is a negative term, which is refused later
                raise RequestError("cli_query", "Something to look for is missing beside {word!r}.", word=by)
            return
        found = _WEIGHT.fullmatch(" ".join(held))
        weight, text = (float(found[1]), found[2]) if found else (1.0, " ".join(held))
        terms.append(Term(_query_file(text) if is_path(text) else text, sign * weight))
        held.clear()

    for word in words:
        if word in ("+", "-"):
            close(word)
            sign = 1.0 if word == "+" else -1.0
        else:
            held.append(word)
    if words:
        close(words[-1])
    return tuple(terms)


def _query_file(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.exists():
        raise MediaError("cli_no_query_file", "There is no file {path}.", path=name)
    return path


def _filter(options: argparse.Namespace) -> Filter | None:
    """The files that --since, --until, --near and --camera leave."""
    near, within_km = None, 10.0
    if options.near is not None:
        try:
            latitude, longitude, *rest = (float(part) for part in options.near.split(","))
            within_km = rest[0] if rest else within_km
        except ValueError as error:
            raise RequestError(
                "cli_place", "{word!r} is no place; write LAT,LON or LAT,LON,KM in degrees.", word=options.near
            ) from error
        near = latitude, longitude
    only = Filter(since=options.since, until=options.until, near=near, within_km=within_km, camera=options.camera)
    return None if only == Filter() else only


def _span(hit: Hit) -> str:
    return f"  {hit.start_s:.0f}-{hit.end_s:.0f} s" if hit.end_s > 0.0 else ""


def _why(hit: Hit) -> str:
    """Why a file is a hit, with the words in it that were found."""
    words = f': "{" ".join(hit.text.split())[:80]}"' if hit.text else ""
    return f"  {', '.join(hit.why)}{words}" if hit.why else ""


def _print_paths(paths: Sequence[str] | dict[str, None], with_null: bool) -> None:
    for path in paths:
        print(path, end="\0" if with_null else "\n")


def _print_csv(hits: Sequence[Hit]) -> None:
    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow(("file", "kind", "start_s", "end_s", "fit", "score", "why", "text"))
    for hit in hits:
        numbers = [f"{value:.4f}".rstrip("0").rstrip(".") for value in (hit.start_s, hit.end_s, hit.fit, hit.score)]
        rows.writerow((hit.path, hit.kind, *numbers, " ".join(hit.why), " ".join(hit.text.split())))


# --- map ---------------------------------------------------------------------------------------------------------


def map_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("collection", type=_where, help="a file that `index` made")
    sub.add_argument("--kinds", default=",".join(KINDS), help=f"of files, with commas (default: {','.join(KINDS)})")
    sub.add_argument("--most", type=int, default=1_500, metavar="N", help="draw at most N files, evenly from all "
                     "(default: 1500)")  # fmt: skip
    sub.add_argument("--csv", action="store_true", help="print a table with commas: every file and where it lies")


def map_collection(options: argparse.Namespace) -> int:
    kinds = frozenset(kind.strip() for kind in options.kinds.split(",") if kind.strip())
    with usage():
        request = MapRequest(collection=options.collection, kinds=kinds, n_most=options.most)
    with closing(open_for(options, "search")) as host:
        result = _last(options, host.stream(request))
    assert isinstance(result, MapResult)
    if options.json:
        print_json(plain(result))
    elif options.csv:
        rows = csv.writer(sys.stdout, lineterminator="\n")
        rows.writerow(("file", "kind", "x", "y", "cluster", "taken"))
        for point in result.points:
            place = f"{point.x:.4f}", f"{point.y:.4f}", result.clusters[point.cluster].en
            rows.writerow((point.path, point.kind, *place, point.taken))
    else:
        for cluster in sorted(result.clusters, key=lambda cluster: -cluster.n_files):
            print(f"{cluster.n_files:6}  {cluster.en or '(unnamed)'}")
        if not result.clusters:
            print("(nothing to draw)")
    if len(result.points) < result.n_files and not options.quiet:
        print(f"drawn are {len(result.points)} of {result.n_files} files", file=sys.stderr)
    return 0


# --- duplicates --------------------------------------------------------------------------------------------------


def duplicates_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("collection", type=_where, help="a file that `index` made")
    sub.add_argument("--threshold", type=float, default=0.97, metavar="COSINE", help="how alike, to 1 (default: 0.97)")
    sub.add_argument("--paths", action="store_true", help="print only the later file of each pair, each once")
    sub.add_argument("-0", "--null", action="store_true", help="the same with NUL after each path, for `xargs -0`")


def duplicates(options: argparse.Namespace) -> int:
    from engines.index import Collection, open_collection

    if not 0.0 < options.threshold <= 1.0:
        raise WrongUsage("cli_threshold", "The threshold is {value:g}; choose 0 to 1.", value=options.threshold)
    with open_collection(options.collection) as collection:
        if not isinstance(collection, Collection):
            raise RequestError("cli_duplicates", "Duplicates are found in collections in a file only.")
        pairs = collection.near_duplicates(options.threshold)
    if options.json:
        for first, second, score in pairs:
            print_json({"files": [first, second], "score": round(score, 4)})
    elif options.paths or options.null:
        _print_paths(dict.fromkeys(second for _, second, _ in pairs), options.null)
    else:
        for first, second, score in pairs:
            print(f"{'same' if score == 1.0 else f'{score:.3f}'}  {first}  {second}")
        if not pairs:
            print("(no duplicates)")
    return 0


# --- a page of hits: one HTML file without scripts and without links to other machines --------------------------------

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }}
  main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 1.25rem; }}
  figure {{ margin: 0; overflow-wrap: anywhere; }}
  img, .none {{ width: 100%; aspect-ratio: 4 / 3; object-fit: contain; background: #eee; border-radius: 6px; }}
  .none {{ display: grid; place-items: center; color: #666; }}
  @media (prefers-color-scheme: dark) {{ body {{ color: #ddd; background: #181818; }} img, .none {{ background: #262626; }} }}
</style>
<h1>{title}</h1>
<main>
{figures}
</main>
</html>
"""  # noqa: E501


def contact_sheet(result: SearchResult) -> str:
    """The page for a search. Pictures are embedded; files are linked by their paths on this machine."""
    figures = "\n".join(_figure(hit) for hit in result.hits)
    return _PAGE.format(title=f"{len(result.hits)} hits", figures=figures or "<p>(nothing found)</p>")


def _figure(hit: Hit) -> str:
    jpeg = _picture(hit)
    shown = f'<div class="none">{hit.kind}</div>' if jpeg is None else f'<img alt="" src="{_data(jpeg)}">'
    span = f" · {hit.start_s:.0f}-{hit.end_s:.0f} s" if hit.end_s > 0.0 else ""
    about = f"{hit.fit:.0%} · {hit.kind}{span}"
    text = f"<p>{html.escape(hit.text[:200])}</p>" if hit.text else ""
    name = html.escape(hit.path.name.encode("utf-8", "replace").decode())
    link = html.escape(hit.path.absolute().as_uri())
    return f'<figure><a href="{link}">{shown}</a><figcaption>{about}<br>{name}{text}</figcaption></figure>'


def _picture(hit: Hit) -> bytes | None:
    """A photo, or a clip's frame where the hit begins, as JPEG; None for what cannot be seen or read any longer."""
    from engines import media

    try:
        jpeg = media.thumbnail(hit.path, at_s=hit.start_s).jpeg if hit.kind in ("photo", "clip") else None
    except MediaError:
        return None
    return None if jpeg is None else jpeg.tobytes()


def _data(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
