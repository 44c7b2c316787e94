"""A pickle machine that cannot run anything.

Python's own unpickler turns names into imported objects and calls them; restricting it (`find_class`) still leaves
calls, attribute setting and memory use to the file. This one is a plain stack machine of its own: globals become `Name`
(two strings), calls become our own few constructors, inert `Placeholder`s or a refusal (the rule is in names.py),
object state is dropped, and sizes are checked before anything is allocated. It keeps what a state dict needs
(dictionaries with text keys, lists, tuples, numbers, short texts, what the caller's constructors return) and nothing
else; bytes and long texts are not even copied out.

All opcodes of protocols 0 to 5 are known. Errors are CheckpointFault: "tries to call posix.system; refused, nothing was
executed".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

from .limits import CheckpointFault
from .names import Name, may_be_placeholder, shown

__all__ = ["PickleTruncated", "PickledDict", "Placeholder", "SafeUnpickler", "describe"]

Constructor = Callable[[tuple[Any, ...]], Any]

_LONGEST_TEXT = 4096  # bytes; longer ones are logs and configurations, not keys
_LONGEST_NUMBER = 255  # bytes; numpy's random states hold numbers of 16
_HIGHEST_PROTOCOL = 5


class PickleTruncated(CheckpointFault):
    """The pickle goes on beyond the bytes given."""


class Placeholder:
    """Stands for an object that is not built: takes items and state without effect, and says what it stands for."""

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what


class PickledDict(dict[str, Any]):
    """A dictionary of the pickle: entries with text keys only.

    `dropped` counts the entries with other keys. A state dict has none; an optimizer's (numbers) are not of interest,
    and hashing what a file chooses (nested tuples, numbers that collide) can take for ever.
    """

    dropped = 0

    def put(self, key: object, value: object) -> None:
        """Store the entry, or count it as dropped."""
        if type(key) is str:
            self[key] = value
        else:
            self.dropped += 1


_MARK = object()
_DICTIONARIES = frozenset({"collections.OrderedDict", "collections.defaultdict"})
# Calls that construct an instance of their first argument, which therefore has to pass the rule as well.
_RECONSTRUCTORS = frozenset(
    {
        "copyreg._reconstructor",
        "copy_reg._reconstructor",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray._reconstruct",
    }
)


class SafeUnpickler:
    """A reader of one pickle. After `load()`, `position` is the index of the byte after the pickle.

    Args:
        data: what holds it.
        start: where in `data` it begins.
        constructors: what the calls of these dotted names do, given the arguments.
        persistent_load: turns a persistent id (any value the machine can hold) into a value.
        max_operations: opcodes, and items given to a dictionary at once, until the pickle is refused.
    """

    def __init__(
        self,
        data: bytes | bytearray,
        constructors: Mapping[str, Constructor],
        persistent_load: Callable[[Any], Any],
        max_operations: int,
        start: int = 0,
    ) -> None:
        self.position = start
        self._data = data
        self._constructors = constructors
        self._persistent_load = persistent_load
        self._operations_left = max_operations
        self._max_operations = max_operations
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """Read the pickled value.

        Raises:
            CheckpointFault: it is refused (PickleTruncated when the bytes end too early).
        """
        try:
            while True:
                self._charge(1)
                opcode = self._take(1)[0]
                if opcode == 0x2E:  # STOP
                    return self._pop()
                operation = _OPERATIONS[opcode]
                if operation is None:
                    raise CheckpointFault(
                        f"is damaged: its pickle has the opcode 0x{opcode:02x} at byte {self.position - 1}"
                    )
                operation(self)
        except (ValueError, struct.error) as error:  # numbers and texts that do not parse
            raise CheckpointFault(
                f"is damaged: its pickle does not parse at byte {self.position} ({shown(str(error))})"
            ) from error

    # Reading

    def _charge(self, count: int) -> None:
        self._operations_left -= count
        if self._operations_left < 0:
            raise CheckpointFault(f"has a pickle of more than {self._max_operations} operations; refused")

    def _take(self, count: int) -> bytes | bytearray:
        end = self.position + count
        if end > len(self._data):
            raise PickleTruncated(
                f"is truncated or damaged: its pickle wants {count} bytes at byte {self.position} of {len(self._data)}"
            )
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def _skip(self, count: int) -> None:
        if self.position + count > len(self._data):
            self._take(count)
        self.position += count

    def _line(self) -> bytes | bytearray:
        end = self._data.find(b"\n", self.position, self.position + _LONGEST_TEXT + 1)
        if end < 0:
            if self.position + _LONGEST_TEXT >= len(self._data):
                raise PickleTruncated("is truncated or damaged: its pickle ends within a line of text")
            raise CheckpointFault(f"has a pickle with a line of more than {_LONGEST_TEXT} bytes; refused")
        line = self._data[self.position : end]
        self.position = end + 1
        return line

    def _unsigned(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    # The stack

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise CheckpointFault(f"is damaged: its pickle takes from an empty stack at byte {self.position}")
        return self._stack.pop()

    def _top(self) -> Any:
        value = self._pop()
        self._stack.append(value)
        return value

    def _pop_mark(self) -> list[Any]:
        stack = self._stack
        for index in range(len(stack) - 1, -1, -1):
            if stack[index] is _MARK:
                items = stack[index + 1 :]
                del stack[index:]
                return items
        raise CheckpointFault(f"is damaged: its pickle takes up to a mark that is not there at byte {self.position}")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _discard(self) -> None:
        if self._stack and self._stack[-1] is _MARK:
            self._stack.pop()
        else:
            self._pop()

    def _discard_to_mark(self) -> None:
        self._pop_mark()

    # Values

    def _text(self, size: int) -> None:
        if size > _LONGEST_TEXT:
            self._skip(size)
            self._push(Placeholder(f"a text of {size} bytes"))
        else:
            self._push(self._take(size).decode("utf-8", "surrogatepass"))

    def _old_text(self, size: int) -> None:
        # Texts of Python 2, without an encoding; keys are ASCII, and latin-1 reads any byte.
        if size > _LONGEST_TEXT:
            self._skip(size)
            self._push(Placeholder(f"a text of {size} bytes"))
        else:
            self._push(self._take(size).decode("latin-1"))

    def _bytes(self, size: int) -> None:
        self._skip(size)
        self._push(Placeholder(f"{size} bytes of data"))

    def _long(self, size: int) -> None:
        if size > _LONGEST_NUMBER:
            raise CheckpointFault(f"has a pickle with a number of {size} bytes; refused")
        self._push(int.from_bytes(self._take(size), "little", signed=True))

    def _decimal(self) -> int:
        # Also holds off int()'s time for long texts, and its acceptance of underscores and spaces.
        line = self._line()
        digits = line.removesuffix(b"L").removeprefix(b"-")
        if not digits.isdigit() or len(digits) > 2 * _LONGEST_NUMBER:
            raise CheckpointFault(f"is damaged: its pickle has {shown(line.decode('latin-1'))!r} for a number")
        return int(line.removesuffix(b"L"))

    def _int(self) -> None:
        start = self.position
        if self._data[start : start + 3] in (b"00\n", b"01\n"):
            self._push(self._take(3) == b"01\n")
        else:
            self._push(self._decimal())

    def _float(self) -> None:
        self._push(float(self._line()))

    def _binary_float(self) -> None:
        self._push(struct.unpack(">d", self._take(8))[0])

    def _string(self) -> None:
        line = self._line()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise CheckpointFault(f"is damaged: its pickle has a text without quotes at byte {self.position}")
        # Escapes stay as they are: no key of a state dict has one.
        self._push(line[1:-1].decode("latin-1"))

    # Containers

    def _tuple_of(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._push(tuple(reversed(items)))

    def _append(self, items: list[Any]) -> None:
        target = self._top()
        if type(target) is list:
            target.extend(items)
        elif not isinstance(target, Placeholder):
            raise CheckpointFault(f"is damaged: its pickle appends to {describe(target)}")

    def _append_one(self) -> None:
        item = self._pop()
        self._append([item])

    def _set_items(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise CheckpointFault("is damaged: its pickle has a key without a value")
        target = self._top()
        if isinstance(target, PickledDict):
            for key, value in zip(items[0::2], items[1::2], strict=True):
                target.put(key, value)
        elif not isinstance(target, Placeholder):
            raise CheckpointFault(f"is damaged: its pickle sets items of {describe(target)}")

    def _set_item(self) -> None:
        value = self._pop()
        key = self._pop()
        self._set_items([key, value])

    def _dict(self) -> None:
        items = self._pop_mark()
        self._push(PickledDict())
        self._set_items(items)

    def _add_items(self) -> None:
        self._pop_mark()
        if not isinstance(target := self._top(), Placeholder):
            raise CheckpointFault(f"is damaged: its pickle adds items to {describe(target)}")

    def _frozen_set(self) -> None:
        self._pop_mark()
        self._push(Placeholder("a set"))

    # The memo

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise CheckpointFault(f"is damaged: its pickle asks for memo {index}, which was not put")
        self._push(self._memo[index])

    def _put(self, index: int) -> None:
        self._memo[index] = self._top()

    # Names and calls

    def _global(self) -> None:
        module, qualified = self._line().decode("utf-8"), self._line().decode("utf-8")
        self._push(Name(module, qualified))

    def _stack_global(self) -> None:
        qualified, module = self._pop(), self._pop()
        if type(qualified) is not str or type(module) is not str:
            raise CheckpointFault("is damaged: its pickle names a global with something that is not text")
        self._push(Name(module, qualified))

    def _extension(self, size: int) -> None:
        code = int.from_bytes(self._take(size), "little")
        raise CheckpointFault(f"tries to use Python's pickle extension {code}; refused, nothing was executed")

    def _check_class(self, name: object) -> Name:
        if not isinstance(name, Name):
            raise CheckpointFault(f"tries to call {describe(name)}; refused, nothing was executed")
        if not may_be_placeholder(name):
            raise CheckpointFault(f"tries to call {name}; refused, nothing was executed")
        return name

    def _call(self, function: object, arguments: object) -> None:
        """Push what stands for `function(*arguments)`, or refuse."""
        if type(arguments) is not tuple:
            raise CheckpointFault(f"is damaged: its pickle calls {describe(function)} on {describe(arguments)}")
        dotted = f"{function.module}.{function.qualified}" if isinstance(function, Name) else ""
        if dotted in self._constructors:
            self._push(self._constructors[dotted](arguments))
        elif dotted in _DICTIONARIES:
            self._push(self._dictionary(arguments))
        elif dotted in _RECONSTRUCTORS:
            if not arguments:
                raise CheckpointFault(f"is damaged: its pickle calls {dotted} without arguments")
            self._push(Placeholder(f"an object of {self._check_class(arguments[0])}"))
        else:
            self._push(Placeholder(f"an object of {self._check_class(function)}"))

    def _dictionary(self, arguments: tuple[Any, ...]) -> PickledDict:
        # OrderedDict() is followed by SETITEMS; Python 2 and protocol 0 write OrderedDict([[key, value], ...]).
        result = PickledDict()
        pairs = arguments[-1] if arguments else []
        if type(pairs) is list:
            self._charge(len(pairs))  # one list may be given many times
            for pair in pairs:
                if type(pair) not in (list, tuple) or len(pair) != 2:
                    raise CheckpointFault("is damaged: its pickle builds a dictionary from something that is not pairs")
                result.put(pair[0], pair[1])
        return result

    def _reduce(self) -> None:
        arguments = self._pop()
        self._call(self._pop(), arguments)

    def _new_object_keywords(self) -> None:
        self._pop()
        self._reduce()

    def _instance(self) -> None:
        arguments = tuple(self._pop_mark())
        self._global()
        self._call(self._pop(), arguments)

    def _object(self) -> None:
        items = self._pop_mark()
        if not items:
            raise CheckpointFault("is damaged: its pickle makes an object of no class")
        self._call(items[0], tuple(items[1:]))

    def _build(self) -> None:
        # State is dropped: it would set attributes or call __setstate__, and nothing read here has any of use.
        self._pop()
        target = self._top()
        if isinstance(target, Name):
            raise CheckpointFault(f"tries to set attributes of {target}; refused, nothing was executed")

    def _persistent(self, value: object) -> None:
        self._push(self._persistent_load(value))

    def _protocol(self) -> None:
        protocol = self._unsigned(1)
        if protocol > _HIGHEST_PROTOCOL:
            raise CheckpointFault(f"has a pickle of protocol {protocol}; this reader knows 0 to {_HIGHEST_PROTOCOL}")

    def _buffer(self) -> None:
        raise CheckpointFault("is damaged: its pickle refers to data outside the file")


def describe(value: object) -> str:
    """Say in words what a value of the machine is, for an error message."""
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, Placeholder):
        return value.what
    if value is None or isinstance(value, (bool, int, float)):
        return f"the value {shown(str(value))}"
    for kind, words in ((str, "a text"), (list, "a list"), (tuple, "a tuple"), (dict, "a dictionary")):
        if isinstance(value, kind):
            return words
    return f"a {type(value).__name__}"


_OPERATIONS: list[Callable[[SafeUnpickler], None] | None] = [None] * 256


def _fill_operations() -> None:
    u = SafeUnpickler  # short, for a table to be read in columns
    table: dict[bytes, Callable[[SafeUnpickler], None]] = {
        # framing
        b"\x80": u._protocol,
        b"\x95": lambda m: m._skip(8),  # FRAME: its length only helps buffered reading
        # numbers and constants
        b"N": lambda m: m._push(None),
        b"\x88": lambda m: m._push(True),
        b"\x89": lambda m: m._push(False),
        b"I": u._int,
        b"J": lambda m: m._push(int.from_bytes(m._take(4), "little", signed=True)),
        b"K": lambda m: m._push(m._unsigned(1)),
        b"M": lambda m: m._push(m._unsigned(2)),
        b"L": lambda m: m._push(m._decimal()),
        b"\x8a": lambda m: m._long(m._unsigned(1)),
        b"\x8b": lambda m: m._long(m._unsigned(4)),
        b"F": u._float,
        b"G": u._binary_float,
        # texts and bytes
        b"S": u._string,
        b"T": lambda m: m._old_text(m._unsigned(4)),
        b"U": lambda m: m._old_text(m._unsigned(1)),
        b"B": lambda m: m._bytes(m._unsigned(4)),
        b"C": lambda m: m._bytes(m._unsigned(1)),
        b"\x8e": lambda m: m._bytes(m._unsigned(8)),
        b"\x96": lambda m: m._bytes(m._unsigned(8)),  # BYTEARRAY8
        b"V": lambda m: m._push(m._line().decode("raw-unicode-escape")),
        b"X": lambda m: m._text(m._unsigned(4)),
        b"\x8c": lambda m: m._text(m._unsigned(1)),
        b"\x8d": lambda m: m._text(m._unsigned(8)),
        # containers
        b")": lambda m: m._push(()),
        b"t": lambda m: m._push(tuple(m._pop_mark())),
        b"\x85": lambda m: m._tuple_of(1),
        b"\x86": lambda m: m._tuple_of(2),
        b"\x87": lambda m: m._tuple_of(3),
        b"]": lambda m: m._push([]),
        b"l": lambda m: m._push(m._pop_mark()),
        b"a": u._append_one,
        b"e": lambda m: m._append(m._pop_mark()),
        b"}": lambda m: m._push(PickledDict()),
        b"d": u._dict,
        b"s": u._set_item,
        b"u": lambda m: m._set_items(m._pop_mark()),
        b"\x8f": lambda m: m._push(Placeholder("a set")),
        b"\x90": u._add_items,
        b"\x91": u._frozen_set,
        # the stack and the memo
        b"(": lambda m: m._push(_MARK),
        b"0": u._discard,
        b"1": u._discard_to_mark,
        b"2": lambda m: m._push(m._top()),
        b"g": lambda m: m._get(m._decimal()),
        b"h": lambda m: m._get(m._unsigned(1)),
        b"j": lambda m: m._get(m._unsigned(4)),
        b"p": lambda m: m._put(m._decimal()),
        b"q": lambda m: m._put(m._unsigned(1)),
        b"r": lambda m: m._put(m._unsigned(4)),
        b"\x94": lambda m: m._put(len(m._memo)),
        # names and calls
        b"c": u._global,
        b"\x93": u._stack_global,
        b"\x82": lambda m: m._extension(1),
        b"\x83": lambda m: m._extension(2),
        b"\x84": lambda m: m._extension(4),
        b"R": u._reduce,
        b"\x81": u._reduce,  # NEWOBJ: cls.__new__(cls, *arguments)
        b"\x92": u._new_object_keywords,
        b"i": u._instance,
        b"o": u._object,
        b"b": u._build,
        b"P": lambda m: m._persistent(m._line().decode("latin-1")),
        b"Q": lambda m: m._persistent(m._pop()),
        b"\x97": u._buffer,
        b"\x98": u._buffer,
    }
    for opcode, operation in table.items():
        _OPERATIONS[opcode[0]] = operation


_fill_operations()
