"""The schema of manifest.json says what its reader does, and docs/bundle.md names all there is in a bundle."""

from __future__ import annotations

import copy
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inter2former_onnx.custom_ops.registry import functions, ops
from inter2former_onnx.errors import BundleError
from inter2former_onnx.runtime.bundle import parse_manifest
from support.fake_bundle import write_fake_bundle
from support.fuzzing import fuzz
from support.reference import REPOSITORY
from support.tried import tried

PACKAGE = Path(str(resources.files("inter2former_onnx")))
SHIPPED = PACKAGE / "bundle"
SCHEMA: dict[str, Any] = json.loads((PACKAGE / "runtime" / "bundle" / "manifest.schema.json").read_text())
PAGE = (REPOSITORY / "docs" / "bundle.md").read_text(encoding="utf-8")

# What the reader says where it refuses by a rule that no schema can say. All else is about a field's type or range.
BEYOND_A_SCHEMA = re.compile(
    r"id: does not belong to the files listed"
    r"|file: '.*' is not among the manifest's files|file: '.*' is another graph's file"
    r"|is listed twice, or is the manifest itself"
    r"|: a name appears twice"
    r"|: click_radius: expected a whole number from 0 to \d+, found \d+$"  # which is geometry.size
    # the contract between the graphs
    r"|: graphs: (expected a tensor '\w+' of \w+, found|the (encoder|prompt graph|decoder) must|"
    r"encoder output '.*' must|decoder input \[.*\] is nothing that)"
)


def _whole(checker: jsonschema.TypeChecker, value: object) -> bool:
    """To a schema 5.0 is a whole number. It is not to the reader; the page says so."""
    return isinstance(value, int) and not isinstance(value, bool)


STRICT = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _whole),
)
VALIDATOR = STRICT(SCHEMA)


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A manifest, small enough to damage everywhere."""
    return read(write_fake_bundle(tmp_path_factory.mktemp("schema") / "square"))


@pytest.fixture(scope="module", params=["square", "fit"])
def intact(
    request: pytest.FixtureRequest, square: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """That manifest and another one, whose shapes have names."""
    if request.param == "square":
        return square
    return read(write_fake_bundle(tmp_path_factory.mktemp("schema") / "fit", mode="fit"))


def read(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return manifest


def refused(manifest: dict[str, Any]) -> str:
    """What the reader says against it; empty if it takes it."""
    try:
        parse_manifest(json.dumps(manifest), "here")
    except BundleError as error:
        return str(error)
    return ""


def hold_together(manifest: dict[str, Any], change: str) -> str:
    """Both take a manifest, or both refuse it, or the reader alone, who says by what rule. Returns who takes it."""
    error = refused(manifest)
    if VALIDATOR.is_valid(manifest):
        assert not error or BEYOND_A_SCHEMA.search(error), f"{change}: the schema takes it, the reader says: {error}"
        return "schema" if error else "both"
    assert error, f"{change}: the reader takes it, the schema says: {next(VALIDATOR.iter_errors(manifest)).message}"
    return "none"


def places(value: Any) -> list[tuple[str | int, ...]]:
    """The path of every value in a JSON document but the document itself."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return [path for key, child in children for path in [(key,), *((key, *rest) for rest in places(child))]]


def changed(manifest: dict[str, Any], path: tuple[str | int, ...], *value: Any) -> dict[str, Any]:
    """A copy with the value at `path` replaced by `value`, or without it."""
    manifest = copy.deepcopy(manifest)
    container: Any = manifest
    for key in path[:-1]:
        container = container[key]
    if value:
        container[path[-1]] = value[0]
    else:
        del container[path[-1]]
    return manifest


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_shipped_manifest() -> None:
    manifest = read(SHIPPED)
    hold_together(manifest, "nothing")
    assert not refused(manifest)
    for path in places({name: manifest[name] for name in manifest if name != "model"}):
        if isinstance(path[-1], str):
            hold_together(changed(manifest, path), f"without {path}")


def test_the_reference_manifest(mini_bundle: Path) -> None:
    manifest = read(mini_bundle)
    assert VALIDATOR.is_valid(manifest) and not refused(manifest)


def test_every_field_may_go_missing(intact: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(intact) and not refused(intact)
    for path in places(intact):
        hold_together(changed(intact, path), f"without {path}")
    for name in SCHEMA["required"]:
        assert not VALIDATOR.is_valid(changed(intact, (name,)))


VALUES = (None, True, -1, 0, 7, 10**30, 16.0, 0.5, "", "x", "rows", "a\n", "é", "y" * 201, [], {}, [1], {"a": 1})


def test_every_field_may_be_something_else(square: dict[str, Any]) -> None:
    takers = Counter(
        hold_together(changed(square, path, value), f"{path} = {value!r}")
        for path in places(square)
        for value in VALUES
    )
    assert takers["none"] > 1000 and takers["both"] > 200 and takers["schema"] > 100


def ranges(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Path and value of what lies at and next to the limits of the schema's numbers and texts."""
    schema = resolved(schema)
    for key in ("minimum", "maximum"):
        if key in schema:
            for step in (-1, 0, 1):
                yield path, schema[key] + step
    for name, child in schema.get("properties", {}).items():
        yield from ranges(child, (*path, name))


def test_limits_are_the_readers(intact: dict[str, Any]) -> None:
    found = list(ranges(SCHEMA))
    assert len(found) > 60
    for path, value in found:
        hold_together(changed(intact, path, value), f"{path} = {value}")
    graph = ("graphs", "decoder")
    for length in (0, 1, 200, 201):
        for path in (("precision",), (*graph, "outputs", 2, "name"), (*graph, "file"), ("custom_ops", "domain")):
            hold_together(changed(intact, path, "x" * length), f"{path} of {length}")
        files = {**intact["files"], "x" * length: intact["files"]["prompt.onnx"]}
        hold_together({**intact, "files": files}, f"a file's name of {length}")
    for shape in ([], [1] * 8, [1] * 9, [-1], [65536], [65537], ["", "x" * 500], [True], [1.0], [None]):
        hold_together(changed(intact, (*graph, "outputs", 2, "shape"), shape), f"shape {shape}")
    for digits in ("0" * 63, "0" * 64, "0" * 65, "0" * 64 + "\n", "A" * 64, "\u0661" * 64):
        hold_together(changed(intact, ("files", "prompt.onnx", "sha256"), digits), f"sha256 {digits!r}")
    for name in ("a/b", "..", ".x", "x\n", "-x", "+", "a+b-c.d_e", "manifest.json", "Manifest.JSON", "\u0661"):
        files = {**intact["files"], name: intact["files"]["prompt.onnx"]}
        hold_together({**intact, "files": files}, f"a file {name!r}")
    for name in ("manifest.json", "Manifest.JSON"):
        assert not VALIDATOR.is_valid({**intact, "files": {**intact["files"], name: intact["files"]["prompt.onnx"]}})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=5,
)


@fuzz(300)
@given(st.randoms(use_true_random=False), st.lists(JSON_VALUES, min_size=1, max_size=2))
def test_any_values_anywhere(intact: dict[str, Any], chooser: random.Random, values: list[Any]) -> None:
    manifest = intact
    for value in values:
        tried()
        manifest = changed(manifest, chooser.choice(places(manifest)), value)
    hold_together(manifest, "some values")


# What the page says of the fields, the tensors and the operators.


def section(title: str) -> str:
    """The text below a heading of the page, up to the next one."""
    (found,) = re.findall(rf"^#+ (?:\d+\. )?{re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def rows(text: str) -> Iterator[list[str]]:
    """The cells of the rows of the tables, without those of their heads."""
    for line in text.splitlines():
        if line.startswith("|") and "`" in line.split("|")[1]:
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "")
    return {**SCHEMA["$defs"][reference.rpartition("/")[2]], **schema} if reference else schema


def titled(schema: Any) -> Iterator[dict[str, Any]]:
    """Every part of the schema that has a title, itself included."""
    if isinstance(schema, dict):
        if isinstance(schema.get("title"), str):
            yield schema
        for child in schema.values():
            yield from titled(child)


@pytest.mark.parametrize("part", list(titled(SCHEMA)), ids=lambda part: part["title"])
def test_the_page_has_every_field_of_the_schema(part: dict[str, Any]) -> None:
    found = {field: cells for cells in rows(section(part["title"])) for field in named(cells[0])}
    assert set(found) == set(part["properties"])
    for name, schema in part["properties"].items():
        schema, (kind, limits) = resolved(schema), found[name][1:3]
        assert kind == schema.get("type", "any"), name
        assert ("may be absent" in found[name][3]) == (name not in part["required"])
        if "minimum" in schema:
            assert limits.startswith(f"{schema['minimum']} to {schema['maximum']}"), name
        for choice in schema.get("enum", []):
            assert f"`{choice}`" in limits, name


def test_the_page_has_every_object_of_the_schema() -> None:
    def count(schema: Any) -> int:
        children = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else []
        own = isinstance(schema, dict) and isinstance(schema.get("properties"), dict) and "required" in schema
        return own + sum(map(count, children))

    assert count(SCHEMA) == len(list(titled(SCHEMA))) == 7


@pytest.mark.parametrize("graph", ["encoder", "prompt", "decoder"])
def test_the_page_has_every_tensor_and_operator(graph: str) -> None:
    manifest = read(SHIPPED)
    described = manifest["graphs"][graph]
    page = section({"encoder": "The encoder", "prompt": "The prompt graph", "decoder": "The decoder"}[graph])
    tensors = {name: cells for cells in rows(page) for name in named(cells[0])}
    passed_on = {tensor["name"] for tensor in manifest["graphs"]["encoder"]["outputs"]} if graph == "decoder" else set()
    names = {tensor["name"]: tensor for tensor in described["inputs"] + described["outputs"]}
    assert set(tensors) == set(names) - passed_on | ({"embed"} if graph == "decoder" else set())
    for name, cells in tensors.items():
        assert cells[1] == names[name]["dtype"]
        if name != "embed" or graph == "encoder":
            assert len(cells[2].split(",")) == max(len(names[name]["shape"]), 1)
    first_table = section("The operators").split("What they take")[0]
    ops = {name: cells for cells in rows(first_table) for name in named(cells[0])}
    for op in described["ops"]["inter2former"]:
        assert graph in ops[op][1].replace("(", "").split(", "), op


def test_the_page_has_every_function() -> None:
    text = section("The operators")
    listed = {name for cells in rows(text) for name in named(cells[0])}
    helpers = set(named(text.split("These 26 have native kernels.")[1]))
    assert len(listed) == 26 and len(helpers) == 40
    assert listed == {op.name for op in ops()}
    assert listed | helpers == {function.name for function in functions()}
