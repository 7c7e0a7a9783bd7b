"""Device and dtype: `auto` never fails, a wrong wish is one sentence, a failing device is one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engines import device
from engines.device import Hardware
from engines.errors import DeviceError, Message

CPU_BUILD = Message("reason.torch_without_cuda", "the installed PyTorch is a CPU build")
NO_DRIVER = Message("reason.no_nvidia_driver", "no NVIDIA driver answers")
LAPTOP = Hardware(no_cuda=CPU_BUILD)
SERVER = Hardware(no_cuda=NO_DRIVER, cpu_bf16=True)
MAC = Hardware(no_cuda=CPU_BUILD, mps=True)
TWO_CARDS = Hardware(cuda=("NVIDIA H100", "Tesla T4"), cuda_bf16=(True, False))

hardware = st.builds(
    lambda cards, cpu_bf16, mps: Hardware(
        cuda=tuple(f"card {index}" for index in range(len(cards))), cuda_bf16=tuple(cards), cpu_bf16=cpu_bf16, mps=mps
    ),
    st.lists(st.booleans(), max_size=3),
    st.booleans(),
    st.booleans(),
)


# --- what is chosen -----------------------------------------------------------------------------------------------


@given(hardware)
def test_auto_never_fails_and_names_a_device_that_is_there(there):
    choice = device.choose(hardware=there)
    assert choice.device in device.available(hardware=there)
    assert choice.dtype in device.DTYPES and choice.reason.en != choice.reason.zh


@pytest.mark.parametrize(
    ("there", "asked", "name", "dtype"),
    [
        (LAPTOP, "auto", "cpu", "float32"),
        (SERVER, "auto", "cpu", "bfloat16"),
        (MAC, "auto", "cpu", "float32"),
        (MAC, "mps", "mps", "float32"),
        (TWO_CARDS, "auto", "cuda:0", "bfloat16"),
        (TWO_CARDS, "cuda", "cuda:0", "bfloat16"),
        (TWO_CARDS, "cuda:1", "cuda:1", "float32"),
        (TWO_CARDS, "cpu", "cpu", "float32"),
    ],
)
def test_the_device_and_its_dtype_follow_from_the_hardware(there, asked, name, dtype):
    choice = device.choose(asked, hardware=there)
    assert (choice.device, choice.dtype) == (name, dtype)


def test_a_dtype_that_is_asked_for_is_taken_throughout_and_an_unknown_one_refused():
    assert device.choose("cpu", "float32", hardware=SERVER).dtype == "float32"
    assert device.choose("cpu", "bfloat16", hardware=LAPTOP).dtype == "bfloat16"
    assert not device.choose("cpu", "float32", hardware=Hardware(cpu_int8=True)).int8
    with pytest.raises(DeviceError, match="'int4' is not known; choose auto, float32 or bfloat16"):
        device.choose("cpu", "int4", hardware=LAPTOP)


def test_the_reason_says_why_the_cpu_was_taken():
    choice = device.choose(hardware=LAPTOP)
    assert choice.reason.en == (
        "the CPU, because the installed PyTorch is a CPU build; float32, because bfloat16 would be slower here"
    )


def test_the_reason_names_the_card():
    assert "NVIDIA H100 is there" in device.choose(hardware=TWO_CARDS).reason.en
    assert "Tesla T4, as asked for" in device.choose("cuda:1", hardware=TWO_CARDS).reason.en
    assert "按要求使用 Tesla T4" in device.choose("cuda:1", hardware=TWO_CARDS).reason.zh


def test_what_may_be_chosen_is_listed_with_the_cpu_first():
    assert device.available(hardware=TWO_CARDS) == ("cpu", "cuda:0", "cuda:1")
    assert device.available(hardware=MAC) == ("cpu", "mps")


# --- what cannot be had -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "asked", "en", "zh"),
    [
        (LAPTOP, "cuda", "There is no cuda here: the installed PyTorch is a CPU build", "cuda"),
        (SERVER, "cuda:0", "There is no cuda:0 here: no NVIDIA driver answers", "cuda:0"),
        (TWO_CARDS, "cuda:2", "There is no cuda:2 here", "cuda:2"),
        (LAPTOP, "mps", "There is no Apple GPU here", "苹果"),
        (LAPTOP, "cdua", "The device 'cdua' is not known (did you mean cuda?)", "是否指 cuda"),
        (LAPTOP, "", "The device '' is not known", "未知设备"),
    ],
)
def test_a_device_that_cannot_be_had_is_one_sentence_with_what_can(there, asked, en, zh):
    with pytest.raises(DeviceError) as error:
        device.choose(asked, hardware=there)
    assert error.value.en.startswith(f"{en}; choose one of auto, cpu") and zh in error.value.zh


@given(hardware, st.text(max_size=12))
def test_any_name_is_either_chosen_or_refused_with_the_choices(there, asked):
    try:
        assert device.choose(asked, hardware=there).device in device.available(hardware=there)
    except DeviceError as error:
        assert "choose one of auto, cpu" in error.en


# --- what PyTorch is asked ----------------------------------------------------------------------------------------


@pytest.fixture
def cuda(monkeypatch) -> Iterator[pytest.MonkeyPatch]:
    """PyTorch pretends to have CUDA and an Ampere and a Turing card."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: ["A100", "T4"][index])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: [(8, 0), (7, 5)][index])
    return monkeypatch


def test_cards_are_found_with_what_they_compute_in(cuda):
    there = device.look()
    assert there.cuda == ("A100", "T4") and there.cuda_bf16 == (True, False)


def test_a_cuda_build_without_a_driver_says_so(cuda):
    cuda.setattr(torch.cuda, "is_available", lambda: False)
    assert device.look().no_cuda == NO_DRIVER
    assert device.choose().device == "cpu"


def test_a_card_that_does_not_answer_counts_as_absent(cuda):
    def lost(index: int) -> tuple[int, int]:
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable")

    cuda.setattr(torch.cuda, "get_device_capability", lost)
    assert device.choose().device == "cpu"
    with pytest.raises(DeviceError, match="There is no cuda here: the CUDA device does not answer"):
        device.choose("cuda")


SERVER_CPU = {"avx2": True, "avx512_f": True, "avx512_bf16": True, "amx_bf16": True}


@pytest.mark.parametrize(
    ("features", "kernels", "highest", "bf16", "int8"),
    [
        (SERVER_CPU, "AVX512", "", True, True),
        (SERVER_CPU, "AVX512", "AVX512_CORE_AMX", True, True),
        (SERVER_CPU, "AVX512", "AVX512_CORE_BF16", False, True),  # the kernels may not use AMX
        (SERVER_CPU, "AVX512", "AVX2", False, True),
        (SERVER_CPU, "AVX2", "", False, True),
        (SERVER_CPU, "AVX512", "SSE41", False, True),  # FBGEMM is not held to it
        ({"avx2": True, "avx512_bf16": True}, "AVX512", "", False, True),
        ({"avx2": True}, "AVX2", "", False, True),
        ({}, "DEFAULT", "", False, False),
    ],
)
def test_number_formats_follow_from_the_instructions_the_kernels_may_use(
    features, kernels, highest, bf16, int8, monkeypatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: kernels)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", highest)
    there = device.look()
    assert (there.cpu_bf16, there.cpu_int8) == (bf16, int8)
    choice = device.choose("cpu", hardware=there)
    assert (choice.dtype, choice.int8) == ("bfloat16" if bf16 else "float32", int8)


# --- failures in the middle ---------------------------------------------------------------------------------------


MEMORY, LOST = "ran out of memory; try a shorter or smaller file", "stopped answering; switch to the CPU"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), MEMORY),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory"), MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), MEMORY),
        (RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"), MEMORY),
        (MemoryError(), MEMORY),
        (RuntimeError("CUDA error: unspecified launch failure"), LOST),
        (RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable"), LOST),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), LOST),
        (RuntimeError("CUDA error: no CUDA-capable device is detected"), LOST),
        (RuntimeError("CUDA error: unknown error"), LOST),
        (RuntimeError("cuda runtime error: driver shutting down"), LOST),
        (RuntimeError("Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost."), LOST),
        (ValueError("out of memory"), None),  # a defect of ours is not blamed on the device
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"), None),
        (RuntimeError("CUDA error: device-side assert triggered"), None),
        (RuntimeError("unknown error"), None),
        (KeyError("cuda"), None),
    ],
)
def test_a_failure_of_the_device_says_what_to_do(error, said):
    found = device.explain(error)
    assert found is None if said is None else said in str(found)


def test_running_out_of_this_machines_memory_is_recognised():
    with pytest.raises(RuntimeError) as error:
        torch.empty(1 << 55)
    assert device.explain(error.value) is not None


def test_what_is_already_a_sentence_stays_as_it_is():
    error = DeviceError("test", "There is no cuda here.")
    assert device.explain(error) is error


# --- threads ------------------------------------------------------------------------------------------------------


def test_threads_are_set_and_zero_leaves_them(monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    device.set_threads(0)
    device.set_threads(3)
    assert asked == [3]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_on_a_real_card_memory_that_runs_out_is_explained():
    assert device.choose().device == device.choose("cuda").device == "cuda:0"
    with pytest.raises(torch.OutOfMemoryError) as error:
        torch.empty(1 << 50, dtype=torch.uint8, device="cuda")
    assert device.explain(error.value) is not None


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has to be told")
def test_memory_that_was_freed_goes_back_to_the_system():
    blocks = [bytearray(60_000) for _ in range(5_000)]  # small enough to lie in the heap: 300 MB
    last = bytearray(60_000)  # above all of them, so that the heap cannot shrink by itself
    del blocks
    before = psutil.Process().memory_info().rss
    device.return_freed_memory()
    assert before - psutil.Process().memory_info().rss > 200_000_000
    del last
