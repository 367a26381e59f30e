"""An unpickler that runs nothing: a pickle is a program, which names functions and calls them.

It knows the few names that tensors are saved with, and describes those tensors; for every other name it takes
a class that keeps what it is told and does nothing. `torch.load(weights_only=True)` stops at the first name
that it does not know.
"""

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

DTYPES = {name: value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}

STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}


class StandIn(dict[Any, Any]):
    """An object of an unknown class: its attributes and items, without its behaviour."""

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return id(self)

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        for attributes in state if isinstance(state, tuple) else (state,):
            if isinstance(attributes, dict):
                self.update(attributes)

    def __call__(self, *_: Any, **__: Any) -> "StandIn":
        return StandIn()

    def append(self, _: Any) -> None:
        """Pass over elements of unknown lists and sets."""

    extend = add = append


class Storage(NamedTuple):
    """Numbers that are elsewhere in the file."""

    key: str
    dtype: torch.dtype


class NestedFile(NamedTuple):
    """Numbers in a file of torch.save, inside the pickle."""

    content: bytes


class Strided(NamedTuple):
    """A tensor, before its numbers are read. Nothing that a pickle says can change it."""

    storage: Storage | NestedFile
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype | None


class Known:
    """A function of this module under a name of torch's. Nothing that a pickle says can change it."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function has no state")


def _strided(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Strided:
    """Stand for torch._utils._rebuild_tensor and _v2: (requires_grad, hooks, metadata) follow."""
    if rest[2:] and rest[2]:
        raise pickle.UnpicklingError("conjugated and negated views are not read")
    return Strided(storage, offset, size, stride, None)


def _strided_as(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Strided:
    """Stand for torch._utils._rebuild_tensor_v3: (requires_grad, hooks, dtype, metadata) follow."""
    return Strided(storage, offset, size, stride, rest[2])


def _bytes(text: str, encoding: str) -> bytes:
    """Stand for _codecs.encode, as older pickles write bytes: by no other encoding."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes are encoded as {encoding}")
    return text.encode("latin1")


KNOWN: dict[str, Any] = {
    "_codecs.encode": Known(_bytes),
    "collections.OrderedDict": OrderedDict,
    "builtins.set": set,
    "__builtin__.set": set,
    "torch.Size": Known(tuple),
    "torch._utils._rebuild_tensor": Known(_strided),
    "torch._utils._rebuild_tensor_v2": Known(_strided),
    "torch._utils._rebuild_tensor_v3": Known(_strided_as),
    "torch._utils._rebuild_parameter": Known(lambda tensor, *_: tensor),
    "torch._utils._rebuild_parameter_with_state": Known(lambda tensor, *_: tensor),
    "torch._tensor._rebuild_from_type_v2": Known(lambda rebuild, _, arguments, __: rebuild(*arguments)),
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": Known(lambda tensor, *_: tensor),
    "torch.storage._load_from_bytes": Known(NestedFile),
    **{f"torch.{name}": dtype for name, dtype in DTYPES.items()},
    **{
        f"{module}.{name}": dtype
        for module in ("torch", "torch.cuda", "torch.storage")
        for name, dtype in STORAGES.items()
    },
}
"""All that a pickle can get by name, besides stand-ins. Its instructions call these and nothing else; the
classes among them are built in, and cannot be changed."""


class InertUnpickler(pickle.Unpickler):
    """Python's own, which finds every class and every storage by the two methods here."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__(file, encoding="latin1")  # of bytes that Python 2 wrote as text
        self.stand_ins: dict[str, type[StandIn]] = {}
        self.dtypes: dict[str, torch.dtype] = {}
        """Of each storage when it was first named."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name == "getattr":  # classes within classes
            return Known(lambda owner, inner: self.stand_in(f"{name_of(owner)}.{inner}"))
        full_name = f"{module}.{name}"
        return KNOWN[full_name] if full_name in KNOWN else self.stand_in(full_name)

    def stand_in(self, full_name: str) -> type[StandIn]:
        module, _, name = full_name.rpartition(".")
        return self.stand_ins.setdefault(full_name, type(name, (StandIn,), {"__module__": module}))

    def persistent_load(self, pid: Any) -> Any:
        kind, what, *rest = pid
        if kind == "module":  # a class and its source
            return what
        key, view = rest[0], rest[3:]
        if kind != "storage" or (view and view[0] is not None):
            raise pickle.UnpicklingError(f"{kind} is not read")
        if not isinstance(what, torch.dtype):  # as of quantised numbers
            return StandIn()
        self.dtypes.setdefault(key, what)
        return Storage(key, what)


def name_of(value: Any) -> str:
    """Return the module and the name of a class, or of an object's."""
    described = value if isinstance(value, type) else type(value)
    return f"{described.__module__}.{described.__name__}"
