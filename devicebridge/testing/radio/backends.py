"""The two ways to a simulated radio, as what `Radio` and bleak take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bumble.transport.tcp_client import open_tcp_client_transport

from ...links.gatt import Backend
from .bonds import SimBonds
from .central import Central
from .client import Client
from .keys import KeptKeys
from .scanner import Scanner


def backend(central: Central) -> Backend:
    return Backend(
        scanner=Scanner, client=Client, options={"central": central}, bond=central.bond, bonds=SimBonds(central)
    )


@asynccontextmanager
async def radio(address: str) -> AsyncIterator[Backend]:
    """The radio served at "tcp:HOST:PORT". It need not be there yet: until it is, the adapter is absent.

    "tcp:HOST:PORT,keys=FILE" keeps its bonds, as an operating system does.
    """
    way, _, file = address.partition(",keys=")
    scheme, _, place = way.partition(":")
    host, _, port = place.rpartition(":")
    if scheme != "tcp" or not host or not port.isdecimal():
        raise ValueError(f'a simulated radio is reached at "tcp:HOST:PORT", not "{address}"')
    central = Central(lambda: open_tcp_client_transport(place), keys=KeptKeys(Path(file) if file else None))
    try:
        yield backend(central)
    finally:
        await central.close()
