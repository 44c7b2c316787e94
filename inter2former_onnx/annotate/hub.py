"""News for the open pages: what another tab changed, how encoding goes, whether everything is saved."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

Event = dict[str, Any]

_BACKLOG = 1000  # events that a page may be behind before it is let go; it connects again and asks for everything


class Hub:
    """Events from any thread to any number of pages."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queues: set[asyncio.Queue[Event | None]] = set()

    def attach(self) -> None:
        """Take the running event loop for that of `subscribe`. Events published before are of no use to anybody."""
        self._loop = asyncio.get_running_loop()

    def publish(self, event: Event) -> None:
        """Hand an event to every page; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, event)

    def close(self) -> None:
        """End all subscriptions; in the event loop."""
        for queue in list(self._queues):
            self._end(queue)

    async def subscribe(self, pause: float) -> AsyncIterator[Event | None]:
        """Hear events as they come; None after every `pause` seconds without one."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(_BACKLOG + 1)
        self._queues.add(queue)
        try:
            while True:
                try:
                    event = await asyncio.wait_for(queue.get(), pause)
                except asyncio.TimeoutError:
                    yield None
                    continue
                if event is None:
                    return
                yield event
        finally:
            self._queues.discard(queue)

    def _deliver(self, event: Event) -> None:
        for queue in list(self._queues):
            if queue.qsize() < _BACKLOG:
                queue.put_nowait(event)
            else:
                self._end(queue)

    def _end(self, queue: asyncio.Queue[Event | None]) -> None:
        self._queues.discard(queue)
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
