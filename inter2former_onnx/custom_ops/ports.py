"""The ports of an op: its inputs, outputs and attributes, as its ports.def declares them.

The C++ kernels read the same file (`native/ort/op_ports.hpp`, which describes its form).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENTRY = re.compile(r"(SIZE|LET|ATTRIBUTE|INPUT|OUTPUT)\((\w+(?:, [\w*/]+)*)\)(?: +// .*)?")


@dataclass(frozen=True)
class Port:
    """An input or an output.

    Attributes:
        name: in the op's definition.
        dtype: of its elements, "float32", "uint8", "int8" or "int64".
        dims: its dimensions, such as ("N", "3*D") or ("D/num_heads/4",); empty for a scalar.
    """

    name: str
    dtype: str
    dims: tuple[str, ...]


@dataclass(frozen=True)
class Ports:
    """What an op takes and gives.

    Attributes:
        inputs: in their order.
        outputs: in their order.
        attributes: name to type, "int64" or "float32".
        sizes: names of the sizes that dimensions are counted in.
        lets: other names of dimensions.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    attributes: dict[str, str]
    sizes: tuple[str, ...]
    lets: dict[str, str]


def parse_ports(text: str) -> Ports:
    """Read the text of a ports.def.

    Raises:
        ValueError: a line is neither an entry nor a comment; the message has the line.
    """
    found: dict[str, list[list[str]]] = {kind: [] for kind in ("SIZE", "LET", "ATTRIBUTE", "INPUT", "OUTPUT")}
    for line in text.splitlines():
        if not line or line.startswith("//"):
            continue
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            raise ValueError(f"{line!r} is no entry of a ports.def")
        found[entry[1]].append(entry[2].split(", "))
    return Ports(
        inputs=tuple(Port(name, dtype, tuple(dims)) for name, dtype, *dims in found["INPUT"]),
        outputs=tuple(Port(name, dtype, tuple(dims)) for name, dtype, *dims in found["OUTPUT"]),
        attributes={name: dtype for name, dtype in found["ATTRIBUTE"]},
        sizes=tuple(name for (name,) in found["SIZE"]),
        lets={name: dim for name, dim in found["LET"]},
    )
