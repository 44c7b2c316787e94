"""Decoding: from an encoded image and a label map to logits, by the prompt and the decoder graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import routing
from .box import Box, whole
from .bundle import DECODER, ENCODER, PROMPT, Manifest
from .geometry import PATCH_SIZE
from .graph import Graph
from .labels import Labels

Arrays = Mapping[str, NDArray[np.float32]]

# Below every localisation score: the whole grid is the box.
_EVERYWHERE = np.array(-np.inf, dtype=np.float32)


class Decoded(NamedTuple):
    """A prediction: `logits` float32 [box.height, box.width] over `box` in model pixels.

    Outside `box` the logits are the bundle's outside_logit (-100).
    """

    logits: NDArray[np.float32]
    box: Box


class Decoder:
    """The prompt and decoder graphs of a bundle. Checks nothing: its arguments are its caller's affair.

    Attributes:
        prompt_graph, graph: the graphs.
        ops: what carries out the custom ops, "native" or "portable".
    """

    def __init__(self, folder: Path, manifest: Manifest, threads: int) -> None:
        """Load both graphs.

        Args:
            folder, manifest: the bundle.
            threads: the number that a run uses.

        Raises:
            BundleError, OpsLibraryError: they cannot be loaded.
        """
        self._manifest = manifest
        self.prompt_graph = Graph(folder, manifest, PROMPT, threads)
        self.graph = Graph(folder, manifest, DECODER, threads)
        self.ops: str = self.graph.ops  # which loads it
        self.prompt_graph.load()
        inputs = [spec.name for spec in manifest.graphs[DECODER].inputs]
        encoded = {spec.name for spec in manifest.graphs[ENCODER].outputs}
        self._encoded_inputs = [name for name in inputs if name in encoded]
        self._takes_changed = "changed" in inputs

    def decode(
        self, arrays: Arrays, grid: tuple[int, int], labels: Labels, region: Box, touched: Box | None = None
    ) -> Decoded:
        """Predict from a label map, where something matters in it.

        Args:
            arrays: the encoded image's.
            grid: its rows and columns of tokens.
            labels: uint8 [16 rows, 16 columns].
            region: the region of interest of `labels`.
            touched: the box outside of which every label is unknown, if there is one: the decoder then uses what the
                encoder has computed about such a map.
        """
        part = np.ascontiguousarray(labels[region.slices])
        manifest = self._manifest
        route = routing.route(part, region, grid, manifest.routing, manifest.uncertainty_kernel_size)
        return self._run(arrays, grid, part, region, route, {}, touched)

    def decode_densely(self, arrays: Arrays, grid: tuple[int, int], labels: Labels) -> Decoded:
        """Predict from a label map with full attention for every token, and the whole map as the box.

        Args:
            arrays, grid, labels: as for `decode`.
        """
        route = routing.all_tokens(grid)
        return self._run(arrays, grid, labels, whole(*labels.shape), route, {"threshold": _EVERYWHERE})

    def _run(
        self,
        arrays: Arrays,
        grid: tuple[int, int],
        part: Labels,
        region: Box,
        route: tuple[NDArray[np.int64], NDArray[np.int64]],
        extra: Arrays,
        touched: Box | None = None,
    ) -> Decoded:
        """Run both graphs; `part` is the region's part of the label map."""
        (prompt,) = self.prompt_graph.run(["prompt"], {"labels": part})
        offset = np.array([region.top // PATCH_SIZE, region.left // PATCH_SIZE], dtype=np.int64)
        feed = {"prompt": prompt, "offset": offset, "boundary": route[0], "other": route[1], **extra}
        if self._takes_changed:
            everything = routing.all_tokens(grid)[0]
            feed["changed"] = everything if touched is None else routing.changed_tokens(touched, grid)
        feed.update((name, arrays[name]) for name in self._encoded_inputs)
        logits, tokens = self.graph.run(["logits", "box"], feed)
        box = Box(*(int(edge) for edge in tokens)).scaled(PATCH_SIZE)
        return Decoded(logits.reshape(box.height, box.width), box)
