"""Running the page: an address, a browser window, and a clean end."""

from __future__ import annotations

import signal
import socket
import threading
import webbrowser
from pathlib import Path

import uvicorn

from ..errors import ArgumentError
from ..wording import printable
from .app import build_app
from .guard import Guard, new_token
from .workspace import Workspace

LOOPBACK = "127.0.0.1"
PORT = 8675
_SECONDS_TO_FINISH = 2


def bind(host: str, port: int | None) -> socket.socket:
    """Open a listening socket.

    Args:
        host: name or address.
        port: None: the usual one or, when that is taken, any.

    Raises:
        ArgumentError: the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ArgumentError(f"--host {host}: {error.strerror or error}") from error
    for candidate in (PORT, 0) if port is None else (port,):
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address[0], candidate, *address[2:]))
            listening.listen()  # from here on connections wait, so the address may be printed
            return listening
        except OSError as error:
            listening.close()
            reason = error.strerror or error
    raise ArgumentError(f"cannot listen on {host}, port {port if port is not None else PORT}: {reason}")


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    return host.strip("[]") in ("localhost", "::1") or host.startswith("127.")


def page_address(listening: socket.socket, host: str) -> str:
    """Write the page's address, without the token that opens it."""
    shown = LOOPBACK if host in ("0.0.0.0", "::", "localhost") else host
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{listening.getsockname()[1]}/"


def serve(workspace: Workspace, listening: socket.socket, host: str, browser: bool) -> None:
    """Serve the page until the process is interrupted or told to end; everything is saved when this returns.

    Args:
        workspace: what the page is about; closed at the end.
        listening: from `bind`.
        host: the name that it was made for.
        browser: whether to open the page in the default browser.

    Raises:
        Inter2FormerError: the last changes could not be saved.
    """
    port: int = listening.getsockname()[1]
    token = new_token()
    address = f"{page_address(listening, host)}?token={token}"
    config = uvicorn.Config(
        Guard(build_app(workspace), token, port, host),
        log_level="critical",
        access_log=False,
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_SECONDS_TO_FINISH,
        h11_max_incomplete_event_size=1 << 15,
    )
    server = _Server(config, workspace)
    if threading.current_thread() is threading.main_thread():
        # End like Ctrl+C: with everything saved. uvicorn takes SIGTERM itself and raises it again at its end.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if hasattr(signal, "SIGHUP"):  # the terminal was closed
            signal.signal(signal.SIGHUP, server.handle_exit)
    try:
        if not is_loopback(host):
            print(
                f"warning: with --host {host} other machines can connect. Whoever has this address sees the pictures "
                f"in {printable(workspace.gallery.root)} and can change their annotations; nothing that travels is "
                "encrypted."
            )
        print("Ctrl+C ends it; everything is saved as you work.")
        print(f"open {address}", flush=True)
        if browser:
            _open_when_ready(server, address)
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # the usual end: uvicorn has closed the connections and passes the signal on
    finally:
        listening.close()
        workspace.close()


def annotation_count(workspace: Workspace) -> tuple[int, int, Path]:
    """Count what there is at the end.

    Returns:
        How many objects, in how many pictures, saved in which folder.
    """
    pictures = [picture for picture in workspace.snapshot().pictures.values() if picture.objects]
    return sum(len(picture.objects) for picture in pictures), len(pictures), workspace.out


class _Server(uvicorn.Server):
    """Ends the pages' event streams first, which would otherwise go on for ever."""

    def __init__(self, config: uvicorn.Config, workspace: Workspace) -> None:
        super().__init__(config)
        self._workspace = workspace

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._workspace.hub.close()
        await super().shutdown(sockets)


def _open_when_ready(server: uvicorn.Server, address: str) -> None:
    """Open the page in the default browser once the server answers."""

    def wait_and_open() -> None:
        pause = threading.Event()
        while not server.started and not server.should_exit:
            pause.wait(0.02)
        if server.started:
            webbrowser.open(address)

    threading.Thread(target=wait_and_open, name="browser", daemon=True).start()
