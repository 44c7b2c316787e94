"""Who is compared, and as what. Names are keys of the measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["reference", "ours", "variant", "peer"]


@dataclass(frozen=True)
class Contestant:
    """One column of the measurements.

    Attributes:
        label: what tables call it.
        role: "reference": what everything is compared with. "ours": other forms of this project that are no
            alternative to the reference (a smaller model, a first start). "variant": the reference's model by other
            means. "peer": another model.
    """

    label: str
    role: Role


REFERENCE = "ours"
SAM_LABELS = {
    "sam_b": "SAM ViT-B",
    "efficient_ti": "SAM with EfficientSAM-Ti's encoder",
    "sam2_t": "SAM 2.1 Hiera-Tiny",
}
CONTESTANTS: dict[str, Contestant] = {
    REFERENCE: Contestant("this project: vit_b, native ops", "reference"),
    "first_start": Contestant("the same, first start on a machine", "ours"),
    "tiny": Contestant("this project: tiny at 512, native ops", "ours"),
    "portable": Contestant("vit_b, portable ops", "variant"),
    "dense": Contestant("vit_b, native ops, dense tokens", "variant"),
    "eager": Contestant("vit_b, our PyTorch modules, eager", "variant"),
    "compiled": Contestant("vit_b, our PyTorch modules, torch.compile", "variant"),
    **{f"{name}_torch": Contestant(f"{label}, PyTorch", "peer") for name, label in SAM_LABELS.items()},
    **{f"{name}_onnx": Contestant(f"{label}, onnxruntime", "peer") for name, label in SAM_LABELS.items()},
}
