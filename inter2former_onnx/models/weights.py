"""Named groups of the tensors that ops take: a layer's weights, and those of several layers that belong together.

A group is a NamedTuple of tensors and of other groups. `custom_op.emit` lays groups out as the inputs of an op. There
the tensors of a layer's group (NormWeights, LinearWeights, ExpertWeights, ...) are called after the layer,
`norm_weight`, unless the argument that holds it is just called `weights`; those of all other groups as in the group.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn


class NormWeights(NamedTuple):
    """The affine part of a LayerNorm or GroupNorm.

    Attributes:
        weight, bias: [C].
    """

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, norm: nn.LayerNorm | nn.GroupNorm) -> NormWeights:
        """Take the weights of a module."""
        return cls(norm.weight, norm.bias)


class LinearWeights(NamedTuple):
    """A linear layer or a convolution.

    Attributes:
        weight: [Co, Ci], of a convolution [Co, Ci, height, width].
        bias: [Co].
    """

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layer: nn.Linear | nn.Conv2d) -> LinearWeights:
        """Take the weights of a module that has a bias."""
        assert layer.bias is not None
        return cls(layer.weight, layer.bias)


class MlpWeights(NamedTuple):
    """Two linear layers with an activation between.

    Attributes:
        weight1, bias1: [H, C], [H].
        weight2, bias2: [C, H], [C].
    """

    weight1: Tensor
    bias1: Tensor
    weight2: Tensor
    bias2: Tensor


class ExpertWeights(NamedTuple):
    """An expert, SwiGLU with an inner LayerNorm; or E of them, stacked on a first axis, with one LayerNorm for all.

    Attributes:
        w1, b1, w2, b2: [H, C], [H].
        ln_weight, ln_bias: [H].
        w3, b3: [C, H], [C].
    """

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor
    ln_weight: Tensor
    ln_bias: Tensor
    w3: Tensor
    b3: Tensor

    def expert(self, index: int) -> ExpertWeights:
        """Take one of stacked experts."""
        i = index
        return ExpertWeights(
            w1=self.w1[i],
            b1=self.b1[i],
            w2=self.w2[i],
            b2=self.b2[i],
            ln_weight=self.ln_weight,
            ln_bias=self.ln_bias,
            w3=self.w3[i],
            b3=self.b3[i],
        )


class FourLayerWeights(NamedTuple):
    """Four linear layers or convolutions, one after the other.

    Attributes:
        w0, b0, w1, b1, w2, b2, w3, b3: of each its weight and bias, see LinearWeights.
    """

    w0: Tensor
    b0: Tensor
    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor
    w3: Tensor
    b3: Tensor

    @classmethod
    def of(cls, layers: Sequence[LinearWeights]) -> FourLayerWeights:
        """Put four layers together."""
        first, second, third, fourth = layers
        return cls(*first, *second, *third, *fourth)

    @property
    def layers(self) -> tuple[LinearWeights, LinearWeights, LinearWeights, LinearWeights]:
        """The layers, first to last."""
        return (
            LinearWeights(self.w0, self.b0),
            LinearWeights(self.w1, self.b1),
            LinearWeights(self.w2, self.b2),
            LinearWeights(self.w3, self.b3),
        )
