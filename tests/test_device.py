"""Where a network runs: wishes that can be met, wishes that cannot, and what automatic means."""

from __future__ import annotations

import pytest
import torch

from wordmask.device import choose_device, choose_dtype
from wordmask.errors import DeviceError

CPU = torch.device("cpu")
CUDA = torch.device("cuda", 0)


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the machine has two CUDA devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.mark.usefixtures("no_cards")
def test_without_a_card_automatic_is_the_cpu() -> None:
    assert choose_device(None) == choose_device("auto") == choose_device("cpu") == choose_device(CPU) == CPU


@pytest.mark.usefixtures("cards")
def test_with_a_card_automatic_is_cuda() -> None:
    assert choose_device(None) == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda", 1)


@pytest.mark.usefixtures("cards")
def test_a_card_beyond_the_last_is_refused_with_those_there() -> None:
    with pytest.raises(DeviceError, match=r"'cuda:2'.*'cpu' or 'cuda:0' or 'cuda:1'"):
        choose_device("cuda:2")


@pytest.mark.usefixtures("no_cards")
@pytest.mark.parametrize("wish", ["cuda", "cuda:0", "meta", "xpu"])
def test_a_device_that_is_not_here_is_refused(wish: str) -> None:
    with pytest.raises(DeviceError, match=f"{wish}.*use 'cpu'"):
        choose_device(wish)


@pytest.mark.parametrize("wish", ["gpu", "cuda:x", "", 3.5])
def test_a_device_that_is_none_is_refused(wish: str) -> None:
    with pytest.raises(DeviceError, match="'auto', 'cpu', 'cuda'"):
        choose_device(wish)


@pytest.mark.parametrize(
    ("amx", "avx512", "name", "chosen"),
    [
        (False, False, "Intel Xeon", "float32"),
        (False, False, "AMD EPYC 7763", "float32"),
        (True, True, "Intel Xeon", "bfloat16"),
        (True, False, "", "bfloat16"),
        (False, True, "AMD EPYC 9R14", "bfloat16"),
        (False, True, "Intel Xeon", "float32"),
    ],
)
def test_automatic_on_the_cpu_follows_its_instructions(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx512: bool, name: str, chosen: str
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": name}, raising=False)

    assert choose_dtype(None, CPU) == choose_dtype("auto", CPU) == getattr(torch, chosen)


@pytest.mark.parametrize(("native", "chosen"), [(True, torch.bfloat16), (False, torch.float16)])
def test_automatic_on_cuda_follows_the_card(monkeypatch: pytest.MonkeyPatch, native: bool, chosen: torch.dtype) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native)

    assert choose_dtype("auto", CUDA) == chosen


def test_a_wish_is_obeyed() -> None:
    assert choose_dtype("bfloat16", CPU) == choose_dtype(torch.bfloat16, CPU) == torch.bfloat16
    assert choose_dtype("float16", CUDA) == torch.float16


@pytest.mark.parametrize("wish", ["float16", torch.float16, "float64", "int8", "fp32", ""])
def test_a_type_of_no_use_is_refused(wish: str) -> None:
    with pytest.raises(DeviceError, match="Got dtype"):
        choose_dtype(wish, CPU)
