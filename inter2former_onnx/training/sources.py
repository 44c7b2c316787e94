"""What is known of each source of region maps: what its ids mean, and what of a map is an object to segment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceKind:
    """How the maps of a source are read, and which targets they give.

    What no share takes is drawn as a single region. Shares of what a map does not offer go to single regions too.

    Attributes:
        split: unconnected pieces of an id are regions of their own.
        grouped: everything labelled and connected is one more object (garments make a person).
        pieces: all pieces of an id together are an object too (an object that something hides in part; a group).
        background: what is labelled 0 is known to be no object, and may be a target itself (`Recipe.background_share`).
        group_share: of the targets, how many are a group: of `grouped`, or of `pieces`.
        union_share: how many are a union of two to four regions that touch.
        largest: share of the image that a single region may have.
    """

    split: bool = True
    grouped: bool = False
    pieces: bool = False
    background: bool = False
    group_share: float = 0.35
    union_share: float = 0.25
    largest: float = 0.6


# Every pixel belongs to some region, none is more an object than its neighbours; what an unknown source is taken for.
PARTITION = SourceKind()
# Parts of one object: garments and body parts of a person.
PARTS = SourceKind(grouped=True)
# One object (or group) fills the picture's middle, the rest is background.
OBJECT = SourceKind(pieces=True, background=True, group_share=0.1, union_share=0.0, largest=0.85)
# Objects of known classes on background that was not annotated; touching ones of one class are one region.
CLASSES = SourceKind(union_share=0.15, largest=0.85)
# Instances, not always all of them; an instance that something cuts in two stays one target.
INSTANCES = SourceKind(split=False, union_share=0.1, largest=0.85)
# Things and stuff.
PANOPTIC = SourceKind(union_share=0.15)

_KINDS = {
    "bsds500": PARTITION,
    "ccp": PARTS,
    "ecssd": OBJECT,
    "pick168": OBJECT,
    "caltech101": OBJECT,
    "pets": OBJECT,
    "pascal_s": CLASSES,
    "voc_animals": CLASSES,
    "sysu_shape": INSTANCES,
    "feral_cats": INSTANCES,
    "coco100_train2017": PANOPTIC,
    # What a COCO JSON file gives.
    "coco": SourceKind(split=False),
}


def kind_of(source: str) -> SourceKind:
    """Look up a source by the name that its index gives it; one that is not known is a partition."""
    return _KINDS.get(source, PARTITION)
