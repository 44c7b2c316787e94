"""The model configuration: the published constructor arguments, typed, and what belongs to the data pipeline."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from ..errors import ConfigError
from ..runtime.geometry import MODES as GEOMETRY_MODES
from ..runtime.geometry import PATCH_SIZE, GeometryMode
from ..runtime.routing import MODES as ROUTING_MODES
from ..runtime.routing import RoutingMode

PRESET_FOLDER = Path(__file__).parent / "presets"

ConfigT = TypeVar("ConfigT")


@dataclass(frozen=True)
class EdgeDetectorConfig:
    """Edge detector (CannyNet).

    `dims` are the channels of its levels, fine to coarse; the published rule is a quarter of the next level,
    ending at the embedding width: 4, 16, 64, 256.
    """

    depth: int = 4
    strides: tuple[int, ...] = (2, 2, 2, 2)
    dims: tuple[int, ...] = (4, 16, 64, 256)


@dataclass(frozen=True)
class BackboneConfig:
    """Image encoder. What only acts in training (the drop rates, `use_checkpoint`) is read and kept, not used."""

    downsample_sizes: tuple[int, ...] = (256,)
    window_size: int = 16
    in_dim: int = 3
    img_size: int = 224
    patch_size: int = PATCH_SIZE
    depth: int = 12
    embed_dim: int = 768
    num_heads: int = 12
    mlp_ratio: float = 4.0
    drop_rate: float = 0.0
    attn_drop_rate: float = 0.0
    drop_path_rate: float = 0.0
    use_checkpoint: bool = False
    out_indices: tuple[int, ...] = (2, 5, 8, 11)
    final_embed_dim: int = 256


@dataclass(frozen=True)
class NeckConfig:
    """Dynamic prompt embedding, dynamic hybrid attention and hybrid mixture of experts."""

    downscale: int = 8
    depth: int = 2
    embed_dim: int = 256
    ref_dims: tuple[int, ...] = (32, 64, 128, 256)
    ref_strides: tuple[int, ...] = (2, 2, 2, 2)
    num_heads: int = 8
    code_size: int = 8
    mlp_ratio: float = 2.0
    uncertainty_kernel_size: int = 7
    num_ffn_experts: int = 8

    @property
    def attention_dim(self) -> int:
        """Width of each of q, k and v."""
        return self.embed_dim // self.downscale

    @property
    def attention_heads(self) -> int:
        """Heads that `attention_dim` is split into."""
        return self.num_heads // self.downscale

    @property
    def ffn_dim(self) -> int:
        """Hidden width of one expert."""
        return int(self.embed_dim * self.mlp_ratio) // self.downscale


@dataclass(frozen=True)
class DecodeHeadConfig:
    """Dynamic local upsampling. `expand_ratio` only acts in training."""

    embed_dim: int = 256
    num_upsamplers: int = 4
    expand_ratio: float = 1.4
    threshold: float = -2.0


@dataclass(frozen=True)
class GeometryConfig:
    """How an image becomes the model's input: zero-padded to a square, resized to `size` pixels (docs/model.md 1).

    `square` computes all of the square, as the published evaluation does; `fit` only the tokens that the image reaches.
    The square's side is the image's longer side, rounded up to a multiple of `size_divisor`.
    """

    mode: GeometryMode = "square"
    size: int = 1024
    size_divisor: int = 256


@dataclass(frozen=True)
class ModelConfig:
    """All that determines what the model computes, but the weights. The defaults are the published ViT-B model.

    `click_radius` is that of a click's disc in the label map, in pixels of the input (docs/model.md 4).
    """

    edge_detector: EdgeDetectorConfig = field(default_factory=EdgeDetectorConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    neck: NeckConfig = field(default_factory=NeckConfig)
    decode_head: DecodeHeadConfig = field(default_factory=DecodeHeadConfig)
    routing: RoutingMode = "boundary"
    channel_order: Literal["bgr", "rgb"] = "bgr"
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    geometry: GeometryConfig = field(default_factory=GeometryConfig)
    click_radius: int = 5

    def __post_init__(self) -> None:
        _check(self)

    def to_dict(self) -> dict[str, Any]:
        """Write the configuration as JSON types; `ModelConfig.from_dict` reads it back."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "configuration") -> ModelConfig:
        """Read published constructor arguments.

        Args:
            values: the blocks `edge_detector`, `backbone`, `neck`, `decode_head` and, optionally, `routing`,
                `channel_order`, `mean`, `std`, `geometry`, `click_radius`. What is left out has the published value.
            source: named in errors.

        Returns:
            The configuration, checked.

        Raises:
            ConfigError: unknown key, wrong type, or values that contradict each other.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"{source}: expected a JSON object, found {type(values).__name__}")
        blocks: dict[str, type] = {
            "edge_detector": EdgeDetectorConfig,
            "backbone": BackboneConfig,
            "neck": NeckConfig,
            "decode_head": DecodeHeadConfig,
            "geometry": GeometryConfig,
        }
        scalars = ("routing", "channel_order", "mean", "std", "click_radius")
        unknown = sorted(set(values) - set(blocks) - set(scalars))
        if unknown:
            known = ", ".join([*blocks, *scalars])
            raise ConfigError(f"{source}: unknown key {unknown[0]!r}; known keys are {known}")
        arguments: dict[str, Any] = {
            name: _read_block(block, values[name], f"{source}: {name}")
            for name, block in blocks.items()
            if name in values
        }
        for name in ("mean", "std"):
            if name in values:
                arguments[name] = _coerce(values[name], (1.0, 1.0, 1.0), f"{source}: {name}")
        for name in ("routing", "channel_order"):
            if name in values:
                arguments[name] = _coerce(values[name], "", f"{source}: {name}")
        if "click_radius" in values:
            arguments["click_radius"] = _coerce(values["click_radius"], 0, f"{source}: click_radius")
        if "edge_detector" in arguments and "dims" not in values["edge_detector"]:
            # The published rule: a quarter of the channels per level, ending at the embedding's width.
            head = arguments.get("decode_head", DecodeHeadConfig())
            levels = len(arguments["edge_detector"].strides)
            dims = tuple(head.embed_dim // 4 ** (levels - 1 - i) for i in range(levels))
            arguments["edge_detector"] = dataclasses.replace(arguments["edge_detector"], dims=dims)
        try:
            return cls(**arguments)
        except ConfigError as error:
            raise ConfigError(f"{source}: {error}") from None


def load_config(config: str | Path | Mapping[str, Any] | ModelConfig) -> ModelConfig:
    """Load a configuration.

    Args:
        config: a preset's name (`vit_b`), a JSON file, a mapping, or a configuration that is ready.

    Returns:
        The configuration.

    Raises:
        ConfigError: no such preset or file, not JSON, or not a valid configuration.
    """
    if isinstance(config, ModelConfig):
        return config
    if isinstance(config, Mapping):
        return ModelConfig.from_dict(config)
    preset = PRESET_FOLDER / f"{config}.json"
    path = preset if str(config) in presets() else Path(config)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ConfigError(
            f"configuration {str(config)!r} is neither a preset ({', '.join(presets())}) "
            f"nor a readable JSON file: {reason}"
        ) from None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid JSON: {error}") from None
    return ModelConfig.from_dict(values, str(path))


def presets() -> list[str]:
    """List the names of the configurations that come with the package."""
    return sorted(path.stem for path in PRESET_FOLDER.glob("*.json"))


def _read_block(block: type[ConfigT], values: object, source: str) -> ConfigT:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{source}: expected an object, found {type(values).__name__}")
    defaults = block()
    known = {f.name for f in dataclasses.fields(block)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f"{source}: unknown key {unknown[0]!r}; known keys are {', '.join(sorted(known))}")
    arguments = {name: _coerce(value, getattr(defaults, name), f"{source}.{name}") for name, value in values.items()}
    return block(**arguments)


def _coerce(value: object, like: object, source: str) -> Any:
    """Take `value` as the type of `like`, or raise a ConfigError; JSON's integers do where a float is expected."""
    if isinstance(like, bool):
        if isinstance(value, bool):
            return value
    elif isinstance(like, int):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    elif isinstance(like, float):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif isinstance(like, str):
        if isinstance(value, str):
            return value
    elif isinstance(like, tuple) and isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_coerce(item, like[0], source) for item in value)
    expected = f"a list of {type(like[0]).__name__}" if isinstance(like, tuple) else type(like).__name__
    raise ConfigError(f"{source}: expected {expected}, found {value!r}")


def _check(config: ModelConfig) -> None:
    """Raise a ConfigError at the first contradiction."""
    edge, backbone, neck, head, geometry = (
        config.edge_detector,
        config.backbone,
        config.neck,
        config.decode_head,
        config.geometry,
    )

    def require(condition: bool, text: str) -> None:
        if not condition:
            raise ConfigError(text)

    positive = {
        "edge_detector.depth": edge.depth,
        "backbone.window_size": backbone.window_size,
        "backbone.depth": backbone.depth,
        "backbone.embed_dim": backbone.embed_dim,
        "backbone.num_heads": backbone.num_heads,
        "backbone.final_embed_dim": backbone.final_embed_dim,
        "backbone.mlp_ratio": backbone.mlp_ratio,
        "neck.downscale": neck.downscale,
        "neck.depth": neck.depth,
        "neck.embed_dim": neck.embed_dim,
        "neck.mlp_ratio": neck.mlp_ratio,
        "neck.num_ffn_experts": neck.num_ffn_experts,
        "geometry.size": geometry.size,
        "geometry.size_divisor": geometry.size_divisor,
        **{f"edge_detector.dims[{i}]": d for i, d in enumerate(edge.dims)},
        **{f"neck.ref_dims[{i}]": d for i, d in enumerate(neck.ref_dims)},
        **{f"std[{i}]": s for i, s in enumerate(config.std)},
    }
    for name, value in positive.items():
        require(value > 0, f"{name} must be positive, found {value}")
    require(config.routing in ROUTING_MODES, f"routing must be 'boundary' or 'roi', found {config.routing!r}")
    require(
        config.channel_order in ("bgr", "rgb"), f"channel_order must be 'bgr' or 'rgb', found {config.channel_order!r}"
    )
    require(
        geometry.mode in GEOMETRY_MODES, f"geometry.mode must be 'square' or 'fit', found {geometry.mode!r}"
    )
    require(geometry.size % PATCH_SIZE == 0, f"geometry.size must be a multiple of {PATCH_SIZE}, found {geometry.size}")
    require(
        0 <= config.click_radius <= geometry.size,
        f"click_radius must be 0 to {geometry.size} pixels, found {config.click_radius}",
    )
    require(len(config.mean) == 3 and len(config.std) == 3, "mean and std must have three values each")
    require(backbone.in_dim == 3, f"backbone.in_dim must be 3, found {backbone.in_dim}")
    require(backbone.patch_size == PATCH_SIZE, f"backbone.patch_size must be {PATCH_SIZE}, found {backbone.patch_size}")
    require(
        backbone.embed_dim % backbone.num_heads == 0 and (backbone.embed_dim // backbone.num_heads) % 4 == 0,
        f"backbone.embed_dim {backbone.embed_dim} must split into {backbone.num_heads} heads of 4, 8, 12, ... channels",
    )
    require(
        backbone.img_size % PATCH_SIZE == 0,
        f"backbone.img_size must be a multiple of {PATCH_SIZE}, found {backbone.img_size}",
    )
    require(
        all(size > 0 and size % PATCH_SIZE == 0 for size in backbone.downsample_sizes),
        f"backbone.downsample_sizes must be multiples of {PATCH_SIZE}, found {list(backbone.downsample_sizes)}",
    )
    require(
        len(backbone.out_indices) > 0 and all(0 <= i < backbone.depth for i in backbone.out_indices),
        f"backbone.out_indices must name blocks 0..{backbone.depth - 1}, found {list(backbone.out_indices)}",
    )
    require(
        backbone.final_embed_dim == neck.embed_dim == head.embed_dim,
        "backbone.final_embed_dim, neck.embed_dim and decode_head.embed_dim must be equal, found "
        f"{backbone.final_embed_dim}, {neck.embed_dim}, {head.embed_dim}",
    )
    require(
        neck.embed_dim % neck.downscale == 0 and neck.num_heads % neck.downscale == 0 and neck.num_heads > 0,
        f"neck.downscale {neck.downscale} must divide embed_dim {neck.embed_dim} and num_heads {neck.num_heads}",
    )
    require(
        neck.attention_dim % (4 * neck.attention_heads) == 0,
        f"neck: {neck.attention_dim} attention channels must split into {neck.attention_heads} heads of 4, 8, ... each",
    )
    require(neck.ffn_dim > 0, "neck.mlp_ratio is too small: an expert would have no hidden channel")
    require(1 <= neck.code_size <= 12, f"neck.code_size must be 1..12, found {neck.code_size}")
    require(
        len(neck.ref_dims) == 4 and tuple(neck.ref_strides) == (2, 2, 2, 2) and neck.ref_dims[-1] == neck.embed_dim,
        "neck.ref_dims must be four widths ending in embed_dim, with ref_strides 2, 2, 2, 2; "
        f"found {list(neck.ref_dims)} and {list(neck.ref_strides)}",
    )
    kernel = neck.uncertainty_kernel_size
    require(
        kernel in range(3, 32, 2),
        f"neck.uncertainty_kernel_size must be odd, from 3 to 31, found {kernel}",
    )
    require(
        head.num_upsamplers == 4 and len(edge.dims) == 4 and tuple(edge.strides) == (2, 2, 2, 2),
        "decode_head.num_upsamplers must be 4 and edge_detector must have four levels with strides 2, 2, 2, 2",
    )
    require(
        edge.dims[-1] == head.embed_dim,
        f"edge_detector.dims must end in the embedding's width {head.embed_dim}, found {list(edge.dims)}",
    )
