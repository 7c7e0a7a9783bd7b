"""Which device and dtype to compute with, why, and what to say when the device fails.

The only file that asks what hardware there is. Everyone else is handed `Choice.device` and `Choice.dtype`, both in
torch's names.
"""

from __future__ import annotations

import ctypes
import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engines.errors import DeviceError, Message

__all__ = [
    "Choice", "Hardware", "available", "choose", "explain", "free_bytes", "look", "return_freed_memory", "set_threads",
]  # fmt: skip

DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True)
class Choice:
    """A device, a dtype, and one line for people on why.

    int8: whether the built-in model multiplies by int8 weights, which is chosen with dtype "auto" alone.
    """

    device: str
    dtype: str
    reason: Message
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
    no_cuda: Message | None = None
    cpu_bf16: bool = False
    cpu_int8: bool = False
    mps: bool = False


def look() -> Hardware:
    """Ask PyTorch what there is. A device that is there but does not answer counts as absent."""
    import torch

    names: list[str] = []
    bf16: list[bool] = []
    no_cuda: Message | None = None
    if torch.version.cuda is None:
        no_cuda = Message("reason.torch_without_cuda", "the installed PyTorch is a CPU build")
    elif not torch.cuda.is_available():
        no_cuda = Message("reason.no_nvidia_driver", "no NVIDIA driver answers")
    else:
        try:
            for index in range(torch.cuda.device_count()):
                names.append(torch.cuda.get_device_name(index))
                # NVIDIA computes in bfloat16 from compute capability 8.0 (Ampere) on; below, torch only emulates it.
                bf16.append(torch.cuda.get_device_capability(index) >= (8, 0))
        except (RuntimeError, AssertionError):  # busy in exclusive mode, or fallen off the bus
            names, bf16 = [], []
            no_cuda = Message("reason.cuda_silent", "the CUDA device does not answer")
    cpu_bf16, cpu_int8 = _quick_on_cpu(
        torch.cpu.get_capabilities(),
        torch.backends.cpu.get_cpu_capability(),
        "fbgemm" in torch.backends.quantized.supported_engines,
    )
    return Hardware(
        cuda=tuple(names),
        cuda_bf16=tuple(bf16),
        no_cuda=no_cuda,
        cpu_bf16=cpu_bf16,
        cpu_int8=cpu_int8,
        mps=torch.backends.mps.is_available(),
    )


def _quick_on_cpu(features: Mapping[str, Any], kernels: str, has_int8_kernels: bool) -> tuple[bool, bool]:
    """Whether bfloat16 and int8 products beat float32 on this CPU: decided by what the kernels may use, never by time.

    features: the CPU's. kernels: the instruction set that PyTorch's own kernels are held to ("DEFAULT", "AVX2",
    "AVX512"), which ATEN_CPU_CAPABILITY lowers; oneDNN, which multiplies matrices, is held to ONEDNN_MAX_CPU_ISA.
    has_int8_kernels: whether PyTorch was built with FBGEMM, whose int8 products need AVX2 and nothing else of the CPU.
    Measured on one core of a CPU with AMX under each mask (torch 2.13, 512 x 2048, 1 to 650 rows): bfloat16 beats
    float32 with AMX alone, by up to 7 times for hundreds of rows, and is up to 12 times slower without, even where
    AVX512_BF16 is there; int8 is 3 to 10 times as fast as float32 from AVX2 on.
    """
    highest = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "ALL"
    amx_allowed = "AMX" in highest.upper() or highest.upper() in ("ALL", "DEFAULT")
    bf16 = bool(features.get("amx_bf16")) and amx_allowed and kernels not in ("DEFAULT", "AVX2")
    int8 = bool(features.get("avx2")) and kernels.startswith("AVX") and has_int8_kernels
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
    name, why = _device(device, there)
    if dtype == "auto":
        dtype, because = _dtype(name, there)
        reason = Message(
            "reason.device_and_dtype", "{device}; {dtype}, because {because}", device=why, dtype=dtype, because=because
        )
        return Choice(name, dtype, reason, int8=name == "cpu" and there.cpu_int8)
    if dtype not in DTYPES:
        raise DeviceError(
            "dtype_unknown_on_device",
            "The number format {dtype!r} is not known; choose auto, {known}.",
            dtype=dtype,
            known=" or ".join(DTYPES),
        )
    return Choice(
        name, dtype, Message("reason.dtype_as_asked", "{device}; {dtype}, as asked for", device=why, dtype=dtype)
    )


def _device(asked: str, there: Hardware) -> tuple[str, Message]:
    """The device's full name and why it is taken."""
    if asked == "auto":
        # Apple's GPU is not taken by itself: nobody has measured the built-in model on it.
        if there.cuda:
            return "cuda:0", Message("reason.cuda_found", "{name} is there", name=there.cuda[0])
        why = there.no_cuda or Message("reason.no_cuda", "there is no CUDA device")
        return "cpu", Message("reason.cpu", "the CPU, because {why}", why=why)
    name = "cuda:0" if asked == "cuda" else asked
    usable = available(hardware=there)
    if name in usable:
        what: str | Message
        if name.startswith("cuda:"):
            what = there.cuda[int(name[5:])]
        else:
            what = Message("reason.the_cpu", "the CPU") if name == "cpu" else Message("reason.apple_gpu", "Apple's GPU")
        return name, Message("reason.device_as_asked", "{device}, as asked for", device=what)
    choices = ", ".join(("auto", *usable))
    if name.startswith("cuda:") and name[5:].isdecimal():
        if there.cuda:
            raise DeviceError(
                "no_such_card", "There is no {asked} here; choose one of {choices}.", asked=asked, choices=choices
            )
        why = there.no_cuda or Message("reason.no_cuda_here", "this machine has no CUDA device")
        raise DeviceError(
            "no_cuda",
            "There is no {asked} here: {why}; choose one of {choices}.",
            asked=asked,
            why=why,
            choices=choices,
        )
    if name == "mps":
        raise DeviceError("no_apple_gpu", "There is no Apple GPU here; choose one of {choices}.", choices=choices)
    close = difflib.get_close_matches(asked, ("auto", "cpu", "cuda", "mps"), n=1)
    if close:
        raise DeviceError(
            "device_misspelt",
            "The device {asked!r} is not known (did you mean {close}?); choose one of {choices}.",
            asked=asked,
            close=close[0],
            choices=choices,
        )
    raise DeviceError(
        "device_unknown",
        "The device {asked!r} is not known; choose one of {choices}.",
        asked=asked,
        choices=choices,
    )


def _dtype(device: str, there: Hardware) -> tuple[str, Message]:
    """The dtype that is fastest on a device at no cost in quality, and why."""
    if device.startswith("cuda"):
        if there.cuda_bf16[int(device[5:])]:
            return "bfloat16", Message("reason.card_bf16", "this card computes in it")
        return "float32", Message("reason.card_float32", "this card does not compute in bfloat16")
    if device == "mps":
        return "float32", Message("reason.mps_float32", "nothing else has been tried on it")
    if there.cpu_bf16:
        return "bfloat16", Message("reason.cpu_bf16", "this CPU multiplies it in hardware")
    return "float32", Message("reason.cpu_float32", "bfloat16 would be slower here")


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
            "out_of_memory",
            "The device ran out of memory; try a shorter or smaller file, close other programs, or switch to the CPU.",
        )
    if isinstance(error, RuntimeError) and ("cuda" in said or "gpu" in said) and any(s in said for s in _LOST):
        return DeviceError(
            "device_lost", "The graphics card stopped answering; switch to the CPU, or start the studio again."
        )
    return None


def set_threads(n_threads: int) -> None:
    """How many CPU threads torch computes with; 0 leaves it to torch."""
    import torch

    if n_threads > 0:
        torch.set_num_threads(n_threads)


def return_freed_memory() -> None:
    """Return to the system what the C library keeps of freed memory: tens of MB for each minute of requests."""
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
