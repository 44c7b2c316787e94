"""How the runtime's modules hang together."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import inter2former_onnx.runtime

PACKAGE = inter2former_onnx.runtime.__name__
FOLDER = Path(inter2former_onnx.runtime.__file__).parent


def modules() -> dict[str, Path]:
    """Every module of the runtime by its full name; a package is its __init__."""
    found = {}
    for path in FOLDER.rglob("*.py"):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        found[".".join((PACKAGE, *parts)).removesuffix(".__init__")] = path
    return found


def imports(name: str, path: Path, known: set[str]) -> set[str]:
    """The runtime's modules that a module imports anywhere: at its top, in functions, and for types only."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                member = f"{source}.{alias.name}"
                found.add(member if member in known else source)
    return found & known


def test_no_two_modules_import_each_other() -> None:
    """Not even by way of others, inside functions, or for their types only."""
    found = modules()
    graph = {name: imports(name, path, set(found)) for name, path in found.items()}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle
    assert len(order) == len(found) > 20
    assert f"{PACKAGE}.embedding_file" in graph[f"{PACKAGE}.segmenter"]  # or imports inside functions were not seen
