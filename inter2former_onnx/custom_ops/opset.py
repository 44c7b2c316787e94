"""The two operator sets that the definitions are written in, and what all of them agree on.

A definition writes arithmetic and comparisons as Python's operators, and scalars, axes and shapes as numbers in their
places; an array that takes part in arithmetic is an `op.Constant`. Types are named, `to=FLOAT.dtype`. A part that has
a meaning of its own is a function of its own: onnxruntime inlines them before it optimises.
"""

from __future__ import annotations

from typing import Any

from onnxscript import opset18
from onnxscript.values import Opset

from . import DOMAIN, VERSION

# The standard operators. Not typed: onnxscript's signatures say of every result that it may be of any type there is.
op: Any = opset18

# The domain the definitions belong to.
INTER2FORMER = Opset(DOMAIN, VERSION)

# The end of a Slice that goes to the end of an axis; larger than any axis.
TO_THE_END = 1 << 30
