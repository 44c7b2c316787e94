"""The two operator sets that the definitions are written in."""

from __future__ import annotations

from typing import Any

from onnxscript import opset18
from onnxscript.values import Opset

from . import DOMAIN, VERSION

# The standard operators. Not typed: onnxscript's signatures say of every result that it may be of any type there is.
op: Any = opset18

# The domain the definitions belong to.
INTER2FORMER = Opset(DOMAIN, VERSION)
