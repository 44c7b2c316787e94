"""How much a checkpoint may ask of the machine that reads it, and the internal error of the readers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Budget", "CheckpointFault", "Limits"]

MIB = 2**20


class CheckpointFault(Exception):
    """Why a file is refused, as a predicate ("is truncated: ..."); `read_checkpoint` puts the file's name before it."""


@dataclass(frozen=True)
class Limits:
    """Limits on reading one file.

    They leave room for a whole training run's checkpoint (7,000 opcodes and 27 KB of pickle hold 227 tensors), and end
    a hostile one before it costs more than seconds and a few hundred MB.

    Attributes:
        pickle_bytes: size of the pickle (names, shapes, logs; weights lie outside it).
        pickle_operations: opcodes it may execute (each costs at most some hundred bytes).
        directory_bytes: size of the zip archive's directory, or of a safetensors file's header.
        state_bytes: weights, as read and as returned (float32), at most.
        expansion, allowance: what is decompressed, and what is returned, may not exceed
            `allowance + expansion * file size` bytes; the first holds off zip bombs, the second tensors that show few
            bytes many times.
    """

    pickle_bytes: int = 256 * MIB
    pickle_operations: int = 2_000_000
    directory_bytes: int = 16 * MIB
    state_bytes: int = 16 * 1024 * MIB
    expansion: int = 20
    allowance: int = 16 * MIB

    def budget(self, file_bytes: int, purpose: str) -> Budget:
        """Make the budget for a file of `file_bytes` bytes; `purpose` completes "... bytes to ..." in its refusal."""
        return Budget(min(self.state_bytes, self.allowance + self.expansion * file_bytes), file_bytes, purpose)


class Budget:
    """Bytes still to be spent. Spend before allocating."""

    def __init__(self, limit: int, file_bytes: int, purpose: str) -> None:
        self.limit = limit
        self.spent = 0
        self._file_bytes = file_bytes
        self._purpose = purpose

    def spend(self, count: int) -> None:
        """Take `count` bytes off.

        Raises:
            CheckpointFault: the limit is passed.
        """
        self.spent += count
        if self.spent > self.limit:
            raise CheckpointFault(
                f"asks for more than {self.limit} bytes to {self._purpose}, with {self._file_bytes} bytes in the file"
            )


DEFAULT_LIMITS = Limits()
