"""Which dictionary of a pickled checkpoint is the state dict: the only one, or the one that the caller names."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence

from .limits import CheckpointFault
from .names import shown
from .tensors import TensorRef
from .unpickler import PickledDict, Placeholder, describe

__all__ = ["find_state_dict"]

# Where training frameworks keep the weights, and averages of them.
_KNOWN = (
    *("state_dict", "model_state_dict", "model", "module", "net", "network", "params"),
    *("ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "model_ema_state_dict", "params_ema"),
)
_OWN = "."  # as a key: the tensors that lie in the file's dictionary itself
_DEEPEST = 4  # dictionaries in dictionaries, such as RT-DETR's ema.module
_MOST_LISTED = 8

# Names are joined only where they are shown or compared: a file can give many dictionaries one long name.
Path = tuple[str, ...]
Container = tuple[Path, PickledDict]


def find_state_dict(value: object, key: str | None) -> PickledDict:
    """Choose the state dict in a checkpoint.

    A dictionary counts as one where it holds tensors, either under a name that frameworks use, or with the parameters'
    names of one that does. Two of them are never chosen between, unless they hold the same tensors.

    Args:
        value: what the file holds.
        key: the name to take, a path such as "ema.module"; "." is the file's own dictionary; None: there must be
            only one.

    Raises:
        CheckpointFault: there is none, none of that name, or several.
    """
    if isinstance(value, Placeholder):
        raise CheckpointFault(f"holds {value.what}, not a state dict; save with torch.save(model.state_dict(), path)")
    if not isinstance(value, PickledDict):
        raise CheckpointFault(f"holds {describe(value)}, expected a state dict")
    found = list(_containers(value))
    chosen = _only(value, found) if key is None else _named(value, found, key)
    if chosen.dropped:
        raise CheckpointFault(f"has a state dict with keys that are not short texts ({chosen.dropped} of them)")
    return chosen


def _containers(top: PickledDict) -> Iterator[Container]:
    """Give each dictionary with tensors below `top`, those nearer to `top` first, each once."""
    waiting: deque[Container] = deque([((), top)])
    seen = {id(top)}
    while waiting:
        path, here = waiting.popleft()
        for name, value in here.items():
            if isinstance(value, PickledDict) and id(value) not in seen:
                seen.add(id(value))
                if _has_tensors(value):
                    yield (*path, name), value
                elif len(path) + 1 < _DEEPEST:
                    waiting.append(((*path, name), value))


def _named(top: PickledDict, found: Sequence[Container], key: str) -> PickledDict:
    if key == _OWN and _has_tensors(top):
        own = PickledDict({name: entry for name, entry in top.items() if not isinstance(entry, PickledDict)})
        own.dropped = top.dropped
        return own
    inside: object = top.get(key)
    if isinstance(inside, PickledDict) and _has_tensors(inside):  # a name with dots, or a second one of the same
        return inside
    for path, state in found:
        if ".".join(path) == key:
            return state
    there = _listed(found, _has_tensors(top))
    raise CheckpointFault(f"holds no state dict under {shown(key)!r}; there is {there or 'none at all'}")


def _only(top: PickledDict, found: Sequence[Container]) -> PickledDict:
    known = [(path, state) for path, state in found if path[-1] in _KNOWN]
    empty = any(isinstance(top.get(name), PickledDict) for name in _KNOWN)
    if not known and (empty or not _has_tensors(top)):
        if top.dropped:
            return top
        keys = ", ".join(shown(name, 40) for name in list(top)[:_MOST_LISTED]) or "nothing"
        hint = f"; tensors are under {_listed(found)}: choose with key=NAME" if found else ""
        raise CheckpointFault(f"holds no state dict: no tensors among {keys}, nor under {', '.join(_KNOWN)}{hint}")
    first = known[0][1] if known else top
    parameters = _parameters(first)
    known_names = {path[-1:] for path, _ in known}

    def rivals(path: Path, state: PickledDict) -> bool:
        alike = 2 * len(parameters & _parameters(state)) >= len(parameters)
        return state is first or ((alike or path[-1:] in known_names) and not _same(state, first))

    several = [(path, state) for path, state in found if rivals(path, state)]
    own = _has_tensors(top) and rivals((), top)
    if len(several) + own > 1:
        raise CheckpointFault(f"holds several state dicts, {_listed(several, own)}: choose one with key=NAME")
    return first


def _has_tensors(value: PickledDict) -> bool:
    return any(isinstance(entry, TensorRef) for entry in value.values())


def _parameters(state: PickledDict) -> set[str]:
    """Collect the names of its tensors without what wrappers put before them."""
    names = (name for name, entry in state.items() if isinstance(entry, TensorRef))
    return {re.sub(r"^((module|model|_orig_mod)\.)+", "", name) for name in names}


def _same(a: PickledDict, b: PickledDict) -> bool:
    plain = (TensorRef, int, float)
    return len(a) == len(b) and all(isinstance(entry, plain) and b.get(name) == entry for name, entry in a.items())


def _listed(found: Sequence[Container], own: bool = False) -> str:
    names = [f"{shown('.'.join(path))} ({_count(state)})" for path, state in found[:_MOST_LISTED]]
    more = [f"{len(found) - _MOST_LISTED} more"] if len(found) > _MOST_LISTED else []
    return ", ".join([*(["the file's own (named .)"] if own else []), *names, *more])


def _count(state: PickledDict) -> str:
    count = sum(isinstance(entry, TensorRef) for entry in state.values())
    return f"{count} tensor{'s' if count != 1 else ''}"
