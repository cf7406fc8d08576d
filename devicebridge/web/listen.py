"""The control endpoint's socket: commands ask the running daemon there, so that no second process writes its outbox.

Loopback only. aiohttp is imported at the first request: a daemon that nobody asks neither waits for it at its start
nor holds it in memory.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..logs import Logger
from .client import DaemonAbsent, control_file, read_control

if TYPE_CHECKING:
    from ..app import Daemon

LINGER_S = 0.2
"""How long a stop waits for answers under way."""


@asynccontextmanager
async def serve(daemon: Daemon, port: int, outbox: Path, log: Logger) -> AsyncIterator[None]:
    """Listens while entered. A port that is taken is replaced by a free one; the file beside the outbox tells.

    Where that file cannot be written there is no control endpoint: the readings matter more.
    """
    endpoint = _Server(daemon, secrets.token_urlsafe(32))
    file = control_file(outbox)
    listener: asyncio.Server | None = None
    try:
        listener = await _listen(endpoint.protocol, port)
        bound = listener.sockets[0].getsockname()[1]
        _write_private(file, json.dumps({"port": bound, "token": endpoint.token}))
        log.debug("control", port=bound)
    except OSError as error:
        log.warning("control-unavailable", error=type(error).__name__)
    try:
        yield
    finally:
        _unlink_own(file, endpoint.token)
        if listener is not None:
            listener.close()
        await endpoint.shutdown()


class _Server:
    """aiohttp's, once somebody asks."""

    def __init__(self, daemon: Daemon, token: str) -> None:
        self._daemon = daemon
        self._made: Any = None
        self.token = token

    def protocol(self) -> asyncio.Protocol:
        if self._made is None:
            from .control import make_server

            self._made = make_server(self._daemon, self.token)
        made: asyncio.Protocol = self._made()
        return made

    async def shutdown(self) -> None:
        if self._made is not None:
            await self._made.shutdown(LINGER_S)


async def _listen(protocol: Callable[[], asyncio.Protocol], port: int) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(protocol, "127.0.0.1", port)
    except OSError:
        return await loop.create_server(protocol, "127.0.0.1", 0)


def _write_private(file: Path, text: str) -> None:
    """A new file, never readable by others even for an instant; on Windows the folder's access list is the guard."""
    partial = file.with_suffix(".new")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    partial.replace(file)


def _unlink_own(file: Path, token: str) -> None:
    """Not that of a daemon which has the outbox by now."""
    with suppress(DaemonAbsent, OSError):
        if read_control(file)[1] == token:
            file.unlink()
