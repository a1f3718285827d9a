"""Choose the device and the floating-point type of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.errors import DeviceError, quote, sentence

if TYPE_CHECKING:
    import torch

DTYPES = ("auto", "float32", "bfloat16", "float16")


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """Return the requested device, or the default one of this machine.

    Args:
        device: `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`, a `torch.device`, or None / `"auto"`: CUDA where there is one,
            otherwise the CPU.

    Raises:
        DeviceError: The name is unknown, or this machine has no such device.
    """
    import torch

    if device is None or device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        expected = "'auto', 'cpu', 'cuda', 'cuda:0' or 'mps'"
        raise DeviceError(sentence(f"device {quote(device)}", expected, "use one of them")) from error
    if not _exists(chosen):
        raise DeviceError(sentence(f"device {quote(chosen)}", "one that this machine has", f"use {_existing()}"))
    return chosen


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """Return the requested floating-point type, or the fastest one of the device.

    Automatic means: on CUDA bfloat16, or float16 where the card has no bfloat16; on the CPU bfloat16 only where it is
    faster (AMX, or AVX512-BF16 that is not Intel's; without instructions for it its matrix products can be hundreds of
    times slower), otherwise float32.

    Args:
        dtype: `"float32"`, `"bfloat16"`, `"float16"` (CUDA only), the torch type of that name, or None / `"auto"`.
        device: where the network will run.

    Raises:
        DeviceError: The type is unknown, or slow on that device.
    """
    import torch

    name = "auto" if dtype is None else str(dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise DeviceError(sentence(f"dtype {quote(dtype)}", f"one of {', '.join(DTYPES)}", "use one of them"))
    if name == "float16" and device.type == "cpu":
        raise DeviceError(
            sentence("dtype 'float16' on the CPU", "one that it computes fast", "use 'float32' or 'auto'")
        )
    if name == "auto":
        name = _fast_dtype(device)
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def _fast_dtype(device: torch.device) -> str:
    import torch

    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return "bfloat16" if device.type == "cpu" and _cpu_gains_by_bfloat16() else "float32"


def _cpu_gains_by_bfloat16() -> bool:
    """By the instructions, as far as torch tells: the probes are private and absent from some versions.

    Of CPUs with AVX512-BF16 and no AMX, AMD's multiply bfloat16 faster than float32, Intel's slower (CLIPSeg, ten
    prompts: twice as fast and 0.7 times; docs/methods/clipseg.md).
    """
    import torch

    amx, avx512 = (
        bool(getattr(torch.cpu, probe, bool)()) for probe in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    )
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return amx or (avx512 and not str(capabilities.get("cpu_name")).startswith("Intel"))


def _exists(device: torch.device) -> bool:
    import torch

    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return device.type == "cpu"


def _existing() -> str:
    import torch

    cards = [f"'cuda:{index}'" for index in range(torch.cuda.device_count())]
    return " or ".join(["'cpu'", *cards, *(["'mps'"] if torch.backends.mps.is_available() else [])])
