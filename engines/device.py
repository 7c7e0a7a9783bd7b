"""Which device and dtype to compute with, why, and what to say when the device fails.

The only file that asks what hardware there is. Everyone else is handed `Choice.device` and `Choice.dtype`, both in
torch's names.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engines.errors import DeviceError

__all__ = ["Choice", "Hardware", "available", "choose", "explain", "free_bytes", "look", "set_threads"]

DTYPES = ("float32", "bfloat16")

_NO_CUDA = {
    "": "没有 CUDA 设备",
    "the installed PyTorch is a CPU build": "安装的 PyTorch 只支持 CPU",
    "no NVIDIA driver answers": "没有可用的 NVIDIA 驱动",
    "the CUDA device does not answer": "CUDA 设备没有响应",
}
"""Why there is no CUDA device, in Chinese."""


@dataclass(frozen=True)
class Choice:
    """A device, a dtype, and one line for people on why, in English and Chinese.

    int8: whether large matrices of the built-in model are multiplied as int8, which is chosen with dtype "auto" alone.
    """

    device: str
    dtype: str
    reason: str
    reason_zh: str
    int8: bool = False


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What PyTorch finds on this machine.

    cuda: a name per CUDA device. cuda_bf16: whether each computes in bfloat16. no_cuda: why there is none. cpu_bf16
    and cpu_int8: whether the CPU multiplies bfloat16 and int8 matrices faster than float32. mps: whether Apple's GPU
    answers.
    """

    cuda: tuple[str, ...] = ()
    cuda_bf16: tuple[bool, ...] = ()
    no_cuda: str = ""
    cpu_bf16: bool = False
    cpu_int8: bool = False
    mps: bool = False


def look() -> Hardware:
    """Ask PyTorch what there is. A device that is there but does not answer counts as absent."""
    import torch

    names: list[str] = []
    bf16: list[bool] = []
    no_cuda = ""
    if torch.version.cuda is None:
        no_cuda = "the installed PyTorch is a CPU build"
    elif not torch.cuda.is_available():
        no_cuda = "no NVIDIA driver answers"
    else:
        try:
            for index in range(torch.cuda.device_count()):
                names.append(torch.cuda.get_device_name(index))
                # NVIDIA computes in bfloat16 from compute capability 8.0 (Ampere) on; below, torch only emulates it.
                bf16.append(torch.cuda.get_device_capability(index) >= (8, 0))
        except (RuntimeError, AssertionError):  # busy in exclusive mode, or fallen off the bus
            names, bf16, no_cuda = [], [], "the CUDA device does not answer"
    cpu_bf16, cpu_int8 = _quick_on_cpu(torch.cpu.get_capabilities(), torch.backends.cpu.get_cpu_capability())
    return Hardware(
        cuda=tuple(names),
        cuda_bf16=tuple(bf16),
        no_cuda=no_cuda,
        cpu_bf16=cpu_bf16,
        cpu_int8=cpu_int8,
        mps=torch.backends.mps.is_available(),
    )


def _quick_on_cpu(features: Mapping[str, Any], kernels: str) -> tuple[bool, bool]:
    """Whether bfloat16 and int8 products beat float32 on this CPU: decided by what the kernels may use, never by time.

    features: the CPU's. kernels: the instruction set that PyTorch's own kernels are held to ("DEFAULT", "AVX2",
    "AVX512"), which ATEN_CPU_CAPABILITY lowers; oneDNN, which multiplies matrices, is held to ONEDNN_MAX_CPU_ISA.
    Measured on one core of a CPU with AMX under each mask (torch 2.13, 512 x 2048, 1 to 800 rows): bfloat16 beats
    float32 with AMX alone, by 2 to 7 times, and is up to 12 times slower without, even where AVX512_BF16 is there; int8
    is 1 to 4 times as fast from AVX2 on.
    """
    highest = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "ALL"
    amx_allowed = "AMX" in highest.upper() or highest.upper() in ("ALL", "DEFAULT")
    bf16 = bool(features.get("amx_bf16")) and amx_allowed and kernels not in ("DEFAULT", "AVX2")
    int8 = bool(features.get("avx2")) and kernels.startswith("AVX") and highest.upper() not in ("SSE41", "AVX")
    return bf16, int8


def available(*, hardware: Hardware | None = None) -> tuple[str, ...]:
    """The devices one may choose here, the CPU first."""
    there = look() if hardware is None else hardware
    return ("cpu", *(f"cuda:{index}" for index in range(len(there.cuda))), *(("mps",) if there.mps else ()))


def choose(device: str = "auto", dtype: str = "auto", *, hardware: Hardware | None = None) -> Choice:
    """The device and dtype to compute with; "auto" never fails.

    device: "auto", "cpu", "cuda", "cuda:n" or "mps". dtype: "auto", "float32" or "bfloat16". hardware: what there is,
    None to look. Raises DeviceError for a device that is absent and for a name that means nothing.
    """
    there = look() if hardware is None else hardware
    name, why, why_zh = _device(device, there)
    if dtype == "auto":
        dtype, because, because_zh = _dtype(name, there)
        int8 = name == "cpu" and there.cpu_int8
        return Choice(name, dtype, f"{why}; {dtype}, because {because}", f"{why_zh}；{dtype}：{because_zh}", int8)
    if dtype not in DTYPES:
        known = " or ".join(DTYPES)
        raise DeviceError(
            f"The number format {dtype!r} is not known; choose auto, {known}.",
            f"不支持数值格式 {dtype!r}，可选 auto、{known}。",
        )
    return Choice(name, dtype, f"{why}; {dtype}, as asked for", f"{why_zh}；{dtype}（按要求）")


def _device(asked: str, there: Hardware) -> tuple[str, str, str]:
    """The device's full name and why it is taken, in English and Chinese."""
    if asked == "auto":
        # Apple's GPU is not taken by itself: nobody has measured the built-in model on it.
        if there.cuda:
            return "cuda:0", f"{there.cuda[0]} is there", f"检测到 {there.cuda[0]}"
        why = there.no_cuda or "there is no CUDA device"
        return "cpu", f"the CPU, because {why}", f"使用 CPU：{_NO_CUDA[there.no_cuda]}"
    name = "cuda:0" if asked == "cuda" else asked
    usable = available(hardware=there)
    if name in usable:
        if name.startswith("cuda:"):
            what = what_zh = there.cuda[int(name[5:])]
        else:
            what, what_zh = {"cpu": ("the CPU", "CPU"), "mps": ("Apple's GPU", "苹果 GPU")}[name]
        return name, f"{what}, as asked for", f"按要求使用 {what_zh}"
    choices = ", ".join(("auto", *usable))
    if name.startswith("cuda:") and name[5:].isdecimal():
        why = "" if there.cuda else f": {there.no_cuda or 'this machine has no CUDA device'}"
        raise DeviceError(
            f"There is no {asked} here{why}; choose one of {choices}.", f"这里没有可用的 {asked}，可选：{choices}。"
        )
    if name == "mps":
        raise DeviceError(
            f"There is no Apple GPU here; choose one of {choices}.", f"这里没有苹果 GPU，可选：{choices}。"
        )
    close = difflib.get_close_matches(asked, ("auto", "cpu", "cuda", "mps"), n=1)
    hint, hint_zh = (f" (did you mean {close[0]}?)", f"（是否指 {close[0]}？）") if close else ("", "")
    raise DeviceError(
        f"The device {asked!r} is not known{hint}; choose one of {choices}.",
        f"未知设备 {asked!r}{hint_zh}，可选：{choices}。",
    )


def _dtype(device: str, there: Hardware) -> tuple[str, str, str]:
    """The dtype that is fastest on a device at no cost in quality, and why, in English and Chinese."""
    if device.startswith("cuda"):
        if there.cuda_bf16[int(device[5:])]:
            return "bfloat16", "this card computes in it", "此显卡支持"
        return "float32", "this card does not compute in bfloat16", "此显卡不支持 bfloat16"
    if device == "mps":
        return "float32", "nothing else has been tried on it", "其他格式尚未在此验证"
    if there.cpu_bf16:
        return "bfloat16", "this CPU multiplies it in hardware", "此 CPU 有硬件支持"
    return "float32", "bfloat16 would be slower here", "bfloat16 在此更慢"


_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "cublas_status_alloc_failed")
# What CUDA says when a card goes away under a running program: cudaErrorDevicesUnavailable, cudaErrorLaunchFailure,
# cudaErrorECCUncorrectable, cudaErrorNoDevice, cudaErrorUnknown, and the driver's own words for a card off the bus.
_LOST = (
    "busy or unavailable",
    "unspecified launch failure",
    "uncorrectable ecc error",
    "no cuda-capable device",
    "unknown error",
    "device lost",
    "device not found",
    "fallen off the bus",
    "gpu is lost",
    "driver shutting down",
)


def free_bytes(device: str) -> int:
    """Memory that may still be taken on a device; main memory for the CPU and for Apple's GPU, which shares it."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    import psutil

    return int(psutil.virtual_memory().available)


def explain(error: BaseException) -> DeviceError | None:
    """What to tell a person about an exception out of torch: one sentence, or None if it is no fault of the device."""
    if isinstance(error, DeviceError):
        return error
    said = str(error).lower()
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(s in said for s in _OUT_OF_MEMORY)):
        return DeviceError(
            "The device ran out of memory; try a shorter or smaller file, close other programs, or switch to the CPU.",
            "设备内存不足；请换更短或更小的文件、关闭其他程序，或改用 CPU。",
        )
    if isinstance(error, RuntimeError) and ("cuda" in said or "gpu" in said) and any(s in said for s in _LOST):
        return DeviceError(
            "The graphics card stopped answering; switch to the CPU, or start the studio again.",
            "显卡停止响应；请改用 CPU，或重新启动。",
        )
    return None


def set_threads(n_threads: int) -> None:
    """How many CPU threads torch computes with; 0 leaves it to torch."""
    import torch

    if n_threads > 0:
        torch.set_num_threads(n_threads)
