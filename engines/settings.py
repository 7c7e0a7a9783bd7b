"""How a host is opened, as values."""

from __future__ import annotations

from dataclasses import dataclass, field

from engines.errors import RequestError

DTYPES = ("auto", "float32", "bfloat16", "int8", "int4")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a host is opened.

    device: "auto", "cpu", "cuda" or "cuda:n". dtype: "auto", "float32" or "bfloat16"; for transformers checkpoints also
    "int8" or "int4", weights only. n_threads: 0 = torch's choice. cache_bytes: how much encoded media a host may keep
    for a second question about the same file. idle_s: seconds without work after which a transformers checkpoint gives
    its memory back until it is asked again, 0 = never. api_key: for a server. timeout_s: how long a server may be
    silent.
    """

    device: str = "auto"
    dtype: str = "auto"
    n_threads: int = 0
    cache_bytes: int = 128 * 2**20
    idle_s: float = 0.0
    api_key: str = field(default="", repr=False)
    timeout_s: float = 60.0

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise RequestError(
                "dtype_unknown", "dtype {dtype!r} is not known; choose {known}.", dtype=self.dtype, known=list(DTYPES)
            )
        if self.n_threads < 0 or self.cache_bytes < 0 or self.idle_s < 0:
            raise RequestError("settings_negative", "n_threads, cache_bytes and idle_s are 0 or more.")
        if not self.timeout_s > 0:
            raise RequestError("timeout_not_positive", "timeout_s is more than 0 seconds.")
