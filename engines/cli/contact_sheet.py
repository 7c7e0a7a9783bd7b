"""A page with a picture of each hit: one HTML file without scripts and without links to other machines."""

from __future__ import annotations

import base64
import html

from engines import media
from engines.errors import MediaError
from engines.protocol import Hit, SearchResult

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
    """The page for a search. Pictures are in it, files are linked by their place on this machine."""
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
    try:
        jpeg = media.thumbnail(hit.path, at_s=hit.start_s).jpeg if hit.kind in ("photo", "clip") else None
    except MediaError:
        return None
    return None if jpeg is None else jpeg.tobytes()


def _data(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
