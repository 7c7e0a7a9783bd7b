"""The public face of the engines: requests, results, errors, and a way to open a host.

    from pathlib import Path
    from engines import CaptionRequest, open_host, run

    host = open_host()
    print(run(host, CaptionRequest(media=Path("photo.jpg"))).text)

Importing this imports no torch: models are loaded by `open_host`.
"""

__version__ = "0.6.0"

from engines.errors import (
    AbilityError,
    Cancelled,
    CheckpointError,
    CollectionError,
    DeviceError,
    MediaError,
    Message,
    RequestError,
    StudioError,
    UserError,
)
from engines.hosts import describe, open_host, open_routes
from engines.hosts.hub import Offer
from engines.hosts.results import TASKS
from engines.hosts.router import Route, Router, parse_routes, read_routes, write_routes
from engines.protocol import (
    KINDS,
    LANGUAGES,
    Ability,
    AskRequest,
    AskResult,
    Cancel,
    CaptionRequest,
    CaptionResult,
    Clip,
    EmbedRequest,
    EmbedResult,
    Hit,
    Host,
    HostInfo,
    IndexRequest,
    IndexResult,
    Kind,
    MapCluster,
    MapPoint,
    MapRequest,
    MapResult,
    Pause,
    Photo,
    Progress,
    Request,
    Result,
    SearchRequest,
    SearchResult,
    Segment,
    Sound,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
    Word,
    current_client,
    run,
)
from engines.report import to_json
from engines.settings import Settings

__all__ = [
    "KINDS", "LANGUAGES", "TASKS", "Ability", "AbilityError", "AskRequest", "AskResult", "Cancel", "Cancelled",
    "CaptionRequest", "CaptionResult", "CheckpointError", "Clip", "CollectionError", "DeviceError", "EmbedRequest",
    "EmbedResult", "Hit", "Host", "HostInfo", "IndexRequest", "IndexResult", "Kind", "MapCluster", "MapPoint",
    "MapRequest", "MapResult", "MediaError", "Message", "Offer", "Pause", "Photo", "Progress", "Request",
    "RequestError", "Result", "Route", "Router", "SearchRequest", "SearchResult", "Segment", "Settings", "Sound",
    "StudioError", "TranscribeRequest", "TranscribeResult", "TranslateRequest", "TranslateResult", "UserError", "Word",
    "current_client", "describe", "open_host", "open_routes", "parse_routes", "read_routes", "run", "to_json",
    "write_routes",
]  # fmt: skip
