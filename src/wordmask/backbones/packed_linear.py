"""Linear layers for inference on a CPU, with weights prepacked for oneDNN and a fused activation.

torch's own linear layer repacks its weights in every call in bfloat16. Prepacked and with the activation fused, the
layers of a ViT-B/16 take 0.8 to 0.9 of the time (`benchmarks/packed_linear.py`). The products are bit-identical; an
activation is rounded once where torch rounds twice. In float32 only layers with few channels in or out gain, such as
those of CLIPSeg's decoder (0.75 to 0.87); their sums are added in another order than by torch's BLAS.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Activation", "Packable", "PackedConvolution", "PackedLinear", "can_pack_linears", "pack_linears"]

Activation = Literal["none", "relu", "swish", "gelu"]
"""Activations that oneDNN can fuse; `swish` is SiLU, `gelu` the exact one."""


@runtime_checkable
class Packable(Protocol):
    """A block whose linear layers can be replaced by packed ones."""

    def pack_linears(self) -> None:
        """Replace them in place, once."""
        ...


class PackedLinear(nn.Module):
    """`activation(x @ weight.T + bias)` for inference: no gradient, not in `state_dict`, not moved by `to`.

    Args:
        linear: The layer whose weights and bias are taken; on a CPU and of a type for which `can_pack_linears` is true.
        activation: Applied to the result.
    """

    def __init__(self, linear: nn.Linear, activation: Activation = "none") -> None:
        super().__init__()
        self.activation = activation
        self._bias = linear.bias.detach()
        self._weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedLinear:
        return self  # torch cannot copy packed weights; they never change

    def forward(self, rows: Tensor) -> Tensor:
        """Rows (..., D) -> (..., H)."""
        kind = "none" if self.activation == "gelu" else None  # not the approximation by tanh
        out: Tensor = torch.ops.mkldnn._linear_pointwise(rows, self._weight, self._bias, self.activation, [], kind)
        return out


class PackedConvolution(nn.Module):
    """`relu(convolution(maps))` for inference: no gradient, not in `state_dict`, not moved by `to`.

    The products are bit-identical to those of torch's convolution, which repacks its weights in every call.

    Args:
        convolution: The layer whose weights and bias are taken, as in `PackedLinear`.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        assert not isinstance(convolution.padding, str)
        assert convolution.bias is not None
        self._shape = [[*convolution.padding], [*convolution.stride], [*convolution.dilation], convolution.groups]
        self._bias = convolution.bias.detach()
        self._weight: Tensor = torch.ops.mkldnn._reorder_convolution_weight(convolution.weight.detach(), *self._shape)

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedConvolution:
        return self

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, C, h, w) -> (B, D, h, w)."""
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            maps, self._weight, self._bias, *self._shape, "relu", [], None
        )
        return out


def can_pack_linears(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether `PackedLinear` works: torch has these (private) operations, and the CPU supports them.

    On a CPU without AVX-512 oneDNN has no bfloat16.
    """
    if device.type != "cpu" or dtype not in _TOLERANCES:
        return False
    try:
        if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        with torch.inference_mode():
            linear = nn.Linear(16, 8, device="meta", dtype=dtype).to_empty(device="cpu")  # draws no random number
            linear.weight.copy_(torch.linspace(-1, 1, 128).view(8, 16))
            linear.bias.copy_(torch.linspace(-1, 1, 8))
            rows = torch.linspace(-1, 1, 32, dtype=dtype).view(2, 16)
            close = _TOLERANCES[dtype]
            _ = torch.ops.mkldnn._reorder_convolution_weight, torch.ops.mkldnn._convolution_pointwise
            return torch.allclose(PackedLinear(linear, "swish")(rows), F.silu(linear(rows)), rtol=close, atol=close)
    except (AttributeError, RuntimeError):
        return False


_TOLERANCES = {torch.bfloat16: 0.02, torch.float32: 1e-5}


def pack_linears(network: nn.Module) -> None:
    """Pack every `Packable` block: the network is then for inference, on this CPU, in the type that it has."""
    blocks = [part for part in network.modules() if isinstance(part, Packable)]
    for block in blocks:
        block.pack_linears()
