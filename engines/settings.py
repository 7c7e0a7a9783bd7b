"""How a host is opened, as values."""

from __future__ import annotations

from dataclasses import dataclass

from engines.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a host is opened.

    device: "auto", "cpu", "cuda" or "cuda:n". dtype: "auto", "float32" or "bfloat16". n_threads: 0 = torch's choice.
    cache_bytes: how much encoded media a host may keep for a second question about the same file.
    """

    device: str = "auto"
    dtype: str = "auto"
    n_threads: int = 0
    cache_bytes: int = 128 * 2**20

    def __post_init__(self) -> None:
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise RequestError(
                f"dtype {self.dtype!r} is not known; choose auto, float32 or bfloat16.",
                f"不支持 dtype {self.dtype!r}；可选：auto、float32、bfloat16。",
            )
        if self.n_threads < 0 or self.cache_bytes < 0:
            raise RequestError(
                "n_threads and cache_bytes are counts; 0 or more.", "n_threads 与 cache_bytes 不能为负。"
            )
