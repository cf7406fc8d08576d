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
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..logs import Logger
from .client import FILE_NAME

if TYPE_CHECKING:
    from ..app import Daemon

LINGER_S = 0.2
"""How long a stop waits for answers under way."""


@asynccontextmanager
async def serve(daemon: Daemon, port: int, folder: Path, log: Logger) -> AsyncIterator[None]:
    """Listens while entered. A port that is taken is replaced by a free one; the file beside the outbox tells."""
    token = secrets.token_urlsafe(32)
    server: Any = None

    def protocol() -> asyncio.Protocol:
        nonlocal server
        if server is None:
            from .control import make_server

            server = make_server(daemon, token)
        made: asyncio.Protocol = server()
        return made

    file = folder / FILE_NAME
    listener = await _listen(protocol, port)
    try:
        bound = listener.sockets[0].getsockname()[1]
        _write_private(file, json.dumps({"port": bound, "token": token}))
        log.debug("control", port=bound)
        yield
    finally:
        file.unlink(missing_ok=True)
        listener.close()
        if server is not None:
            await server.shutdown(LINGER_S)


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
