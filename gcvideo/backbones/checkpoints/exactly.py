"""Every tensor of a network from a state dict, and no other, but for what was declared."""

import logging
from collections.abc import Collection, Mapping
from typing import Literal

from torch import Tensor, nn

log = logging.getLogger(__name__)

Part = Literal["head", "blocks"]

PARTS = {"head": "head.", "blocks": ".context."}
"""How the keys of a part that may start fresh are told."""


def load_exactly(
    network: nn.Module, state: Mapping[str, Tensor], *, expected_missing: Collection[str] = ()
) -> None:
    """Load a state dict that has every tensor of the network but `expected_missing`, and no other.

    Raises:
        ValueError: It does not; every missing, unexpected and mis-shaped tensor is listed. Nothing is loaded.
    """
    own = network.state_dict()
    missing = [key for key in own if key not in state and key not in expected_missing]
    unexpected = [key for key in state if key not in own or key in expected_missing]
    misshaped = [
        f"{key}: the file has {list(tensor.shape)}, the network {list(own[key].shape)}"
        for key, tensor in state.items()
        if key in own and key not in expected_missing and tensor.shape != own[key].shape
    ]
    undeclared = {"missing": missing, "unexpected": unexpected, "of another shape": misshaped}
    if any(undeclared.values()):
        counts = ", ".join(f"{len(keys)} {kind}" for kind, keys in undeclared.items() if keys)
        lines = [f"  {kind}: {key}" for kind, keys in undeclared.items() for key in keys]
        raise ValueError("\n".join([f"nothing was loaded: of {len(own)} tensors, {counts}", *lines]))
    others = {tensor.dtype for key, tensor in state.items() if tensor.dtype != own[key].dtype}
    if others:
        log.info("weights of %s become those of the network", ", ".join(sorted(map(str, others))))
    network.load_state_dict(dict(state), strict=False)
