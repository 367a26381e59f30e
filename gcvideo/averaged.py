"""Checkpoints of a training that averages its weights: they hold two sets of them, raw and averaged."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

WeightsState = Literal["averaged", "raw"]
"""The average over training steps, which is validated, or the weights that the optimizer moves."""
KEYS: dict[str, str] = {"averaged": "state_dict", "raw": "current_model_state"}
"""Under which names Lightning's WeightAveraging keeps them."""
NOT_AVERAGED = (
    "{file}: weights.state is {state}, but its training averaged no weights; leave weights.state out"
)
OPTION = "--weights.state"


def is_averaged(content: Mapping[Any, Any]) -> bool:
    """Tell whether a checkpoint holds both."""
    return KEYS["raw"] in content and "averaging_state" in content


def with_weights(content: dict[str, Any], state: WeightsState | None, *, file: Path) -> dict[str, Any]:
    """Return a checkpoint whose state_dict has the weights that are asked for; of None, as it is.

    Raises:
        ValueError: It holds one set of weights alone.
    """
    if state is None:
        return content
    if not is_averaged(content):
        raise ValueError(NOT_AVERAGED.format(file=file, state=state))
    return {**content, "state_dict": content[KEYS[state]]}
