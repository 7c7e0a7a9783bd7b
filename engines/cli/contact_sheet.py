"""A page with a picture of each hit: one HTML file without scripts and without links to other machines."""

from __future__ import annotations

import base64
import html
import io

from engines import media
from engines.errors import MediaError
from engines.protocol import Hit, Photo, SearchResult

SIDE_PX = 320
"""The longer side of a thumbnail."""

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
    photo = _picture(hit)
    shown = f'<div class="none">{hit.kind}</div>' if photo is None else f'<img alt="" src="{_data(photo)}">'
    span = f" · {hit.start_s:.0f}-{hit.end_s:.0f} s" if hit.end_s > 0.0 else ""
    about = f"{hit.fit:.0%} · {hit.kind}{span}"
    text = f"<p>{html.escape(hit.text[:200])}</p>" if hit.text else ""
    name = html.escape(_printable(hit.path.name))
    link = html.escape(hit.path.absolute().as_uri())
    return f'<figure><a href="{link}">{shown}</a><figcaption>{about}<br>{name}{text}</figcaption></figure>'


def _picture(hit: Hit) -> Photo | None:
    """A photo, or a clip's frame where the hit begins; None for what cannot be seen or read any longer."""
    try:
        if hit.kind == "photo":
            return media.load_photo(hit.path, max_side=SIDE_PX)
        if hit.kind == "clip":
            clip = media.load_clip(hit.path, start_s=hit.start_s, max_s=1.0, max_side=SIDE_PX, n_frames=1)
            return Photo(clip.frames[0]) if clip.frames else None
    except MediaError:
        return None
    return None


def _data(photo: Photo) -> str:
    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(photo.pixels).save(held, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(held.getvalue()).decode()}"


def _printable(name: str) -> str:
    return name.encode("utf-8", "replace").decode()


__all__ = ["SIDE_PX", "contact_sheet"]
