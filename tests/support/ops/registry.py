"""All ops, collected from their families."""

from __future__ import annotations

from support.ops.families import attention, edges, experts, image, linear, prompt, tokens, upsampling
from support.ops.op import Op

# The ops of each family by their names in the domain. A family has a file of this name in support/ops/families,
# support/ops/oracles, tests/ops (test_...) and tests/native (test_...).
FAMILIES: dict[str, dict[str, Op]] = {
    "tokens": tokens.OPS,
    "attention": attention.OPS,
    "linear": linear.OPS,
    "experts": experts.OPS,
    "prompt": prompt.OPS,
    "upsampling": upsampling.OPS,
    "image": image.OPS,
    "edges": edges.OPS,
}
OPS: dict[str, Op] = {name: op for family in FAMILIES.values() for name, op in family.items()}
