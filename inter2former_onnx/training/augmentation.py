"""Augmentation: one affine map an image (scale, position, flip, rotation, aspect), colour, and what is pasted on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]

_GREY = np.full((3, 3), 1.0 / 3.0)  # mixes colours to the grey of their mean


@dataclass(frozen=True)
class AugmentationSettings:
    """How strongly pictures are varied. All are probabilities or relative sizes.

    Attributes:
        plain: share of pictures that keep the evaluation's geometry (whole image, top left).
        smallest_view, largest_view: range of the view's side relative to the image's longer side.
        flip: share mirrored left to right.
        rotate: share turned by about ten degrees.
        grey: share without colour.
        paste: share onto which an object of another picture is pasted.
        blob: share onto which another picture shows through a generated shape.
    """

    plain: float = 0.2
    smallest_view: float = 0.3
    largest_view: float = 1.15
    flip: float = 0.5
    rotate: float = 0.5
    grey: float = 0.08
    paste: float = 0.35
    blob: float = 0.1


def sample_view(
    height: int,
    width: int,
    divisor: int,
    target: Floats | None,
    settings: AugmentationSettings,
    generator: np.random.Generator,
) -> Floats:
    """Draw a random affine map from the unit square of the output to pixels of the image.

    Args:
        height, width: of the image.
        divisor: the configuration's size_divisor: the plain view is the image padded to a square of such a multiple.
        target: bounding box that the view should show, or None.
        settings: how strongly.
        generator: source of randomness.

    Returns:
        float64 [2, 3]; (x, y) = matrix @ (u, v, 1) with u, v in [0, 1].
    """
    square = max(-(-height // divisor), -(-width // divisor)) * divisor
    if generator.random() < settings.plain:
        matrix = np.array([[square, 0.0, 0.0], [0.0, square, 0.0]])
    else:
        longest = max(height, width)
        low, high = math.log(settings.smallest_view), math.log(settings.largest_view)
        side = longest * math.exp(generator.uniform(low, high))
        if target is not None:  # never so close that the object is mostly out of sight
            side = max(side, 0.8 * float(max(target[2] - target[0], target[3] - target[1])))
        aspect = math.exp(generator.uniform(-0.12, 0.12))
        size = np.array([side * aspect, side / aspect])
        centre = (
            np.array([width / 2, height / 2])
            if target is None
            else np.array([generator.uniform(target[0], target[2]), generator.uniform(target[1], target[3])])
        )
        centre += generator.normal(0.0, 0.15, 2) * size
        limits = np.array([width, height], dtype=np.float64)
        low_corner, high_corner = np.minimum(0.0, limits - size), np.maximum(0.0, limits - size)
        corner = np.clip(centre - size / 2, low_corner, high_corner)
        matrix = np.array([[size[0], 0.0, corner[0]], [0.0, size[1], corner[1]]])
    if generator.random() < settings.rotate:
        angle = generator.normal(0.0, math.radians(12.0))
        matrix = _about(matrix, angle, width / 2, height / 2)
    if generator.random() < settings.flip:
        matrix[0] = -matrix[0]
        matrix[0, 2] += width
    return matrix


def _about(matrix: Floats, angle: float, x: float, y: float) -> Floats:
    """Follow the map by a rotation about (x, y)."""
    cos, sin = math.cos(angle), math.sin(angle)
    shifted = matrix - np.array([[0.0, 0.0, x], [0.0, 0.0, y]])
    return np.array([[cos, -sin], [sin, cos]]) @ shifted + np.array([[0.0, 0.0, x], [0.0, 0.0, y]])


def warp(images: Tensor, maps: Tensor, sizes: Tensor, views: Tensor, size: int, mean: Tensor, std: Tensor) -> tuple[
    Tensor, Tensor, Tensor
]:
    """Look at a batch of stored images through their views.

    Args:
        images: uint8 [I, S, S, 3].
        maps: int16 [I, S, S].
        sizes: int64 [I, 2], height and width of each image.
        views: float32 [I, 2, 3] from `sample_view`.
        size: output side in pixels.
        mean, std: float32 [3].

    Returns:
        Normalised images float32 [I, 3, size, size], zero outside the image; regions int64 [I, size, size], -1 outside;
        inside bool [I, size, size].
    """
    side = images.shape[1]
    axis = (torch.arange(size, device=images.device) + 0.5) / size
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([u, v, torch.ones_like(u)], dim=-1)
    pixels = torch.einsum("hwk,ijk->ihwj", points, views)
    heights, widths = sizes[:, 0, None, None], sizes[:, 1, None, None]
    x, y = pixels[..., 0], pixels[..., 1]
    inside = (x >= 0) & (x < widths) & (y >= 0) & (y < heights)
    # Edges of the image repeat, so that the store's empty rest never bleeds in.
    x = torch.minimum(x.clamp(min=0.5), widths - 0.5)
    y = torch.minimum(y.clamp(min=0.5), heights - 0.5)
    grid = torch.stack([x, y], dim=-1) * (2.0 / side) - 1.0
    colours = F.grid_sample(images.permute(0, 3, 1, 2).float(), grid, mode="bilinear", align_corners=False)
    colours = (colours - mean[:, None, None]) / std[:, None, None] * inside[:, None]
    columns, rows = x.long().clamp(0, side - 1), y.long().clamp(0, side - 1)
    batch = torch.arange(images.shape[0], device=images.device)[:, None, None]
    regions = torch.where(inside, maps[batch, rows, columns].long(), -1)
    return colours, regions, inside


def sample_colour(count: int, settings: AugmentationSettings, generator: np.random.Generator) -> Floats:
    """Draw random colour changes.

    Args:
        count: how many.
        settings: how strongly.
        generator: source of randomness.

    Returns:
        float64 [count, 3, 4], a 3 x 3 mixing matrix and an offset for normalised colours.
    """
    changes = np.zeros((count, 3, 4))
    for change in changes:
        saturation = 0.0 if generator.random() < settings.grey else math.exp(generator.normal(0.0, 0.25))
        contrast = math.exp(generator.normal(0.0, 0.25))
        tint = np.exp(generator.normal(0.0, 0.1, 3))
        hue = _about_grey(generator.normal(0.0, math.radians(20.0)))
        mix = saturation * hue + (1.0 - saturation) * _GREY
        change[:, :3] = contrast * tint[:, None] * mix
        change[:, 3] = generator.normal(0.0, 0.2) + generator.normal(0.0, 0.05, 3)
    return changes


def _about_grey(angle: float) -> Floats:
    """Rotate colours about the axis of greys, which moves hues: float64 [3, 3]; rows sum to 1 (Rodrigues)."""
    cross = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / math.sqrt(3.0)
    return math.cos(angle) * (np.eye(3) - _GREY) + math.sin(angle) * cross + _GREY


def change_colour(images: Tensor, changes: Tensor, inside: Tensor) -> Tensor:
    """Change the colours of images, inside them.

    Args:
        images: float32 [I, 3, H, W], normalised.
        changes: float32 [I, 3, 4] of `sample_colour`.
        inside: bool [I, H, W].

    Returns:
        float32 [I, 3, H, W]
    """
    mixed = torch.einsum("icd,idhw->ichw", changes[:, :, :3], images) + changes[:, :, 3, None, None]
    return mixed * inside[:, None]


def generated_shapes(parameters: Tensor, size: int) -> Tensor:
    """Draw star-shaped blobs.

    Args:
        parameters: float32 [I, 2 + 1 + 2 * K]: centre (x, y) and mean radius relative to the picture, then amplitudes
            and phases of K harmonics of the outline.
        size: pixels per side.

    Returns:
        bool [I, size, size]
    """
    axis = (torch.arange(size, device=parameters.device) + 0.5) / size
    dx = axis[None, None, :] - parameters[:, 0, None, None]
    dy = axis[None, :, None] - parameters[:, 1, None, None]
    harmonics = (parameters.shape[1] - 3) // 2
    angle = torch.atan2(dy, dx)
    outline = torch.zeros_like(angle)
    for k in range(harmonics):
        amplitude, phase = parameters[:, 3 + k, None, None], parameters[:, 3 + harmonics + k, None, None]
        outline = outline + amplitude * torch.cos((k + 1) * angle + phase)
    radius = parameters[:, 2, None, None] * torch.exp(outline)
    return dx * dx + dy * dy <= radius * radius


def sample_shapes(count: int, generator: np.random.Generator, harmonics: int = 6) -> Floats:
    """Draw random parameters for `generated_shapes`.

    Args:
        count: how many shapes.
        generator: source of randomness.
        harmonics: of their outlines.

    Returns:
        float64 [count, 3 + 2 * harmonics]
    """
    centre = generator.uniform(0.15, 0.85, (count, 2))
    radius = np.exp(generator.uniform(math.log(0.05), math.log(0.3), (count, 1)))
    amplitudes = generator.normal(0.0, 0.35, (count, harmonics)) / np.arange(1, harmonics + 1)
    phases = generator.uniform(0.0, 2 * math.pi, (count, harmonics))
    return np.concatenate([centre, radius, amplitudes, phases], axis=1)
