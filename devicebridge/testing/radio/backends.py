"""The two ways to a simulated radio, as what `Radio` and bleak take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bumble.transport.tcp_client import open_tcp_client_transport

from ...links.gatt import Backend
from .central import Central
from .client import Client
from .scanner import Scanner


def backend(central: Central) -> Backend:
    return Backend(scanner=Scanner, client=Client, options={"central": central}, bond=central.bond)


@asynccontextmanager
async def radio(address: str) -> AsyncIterator[Backend]:
    """The radio served at "tcp:HOST:PORT". It need not be there yet: until it is, the adapter is absent."""
    scheme, _, place = address.partition(":")
    host, _, port = place.rpartition(":")
    if scheme != "tcp" or not host or not port.isdecimal():
        raise ValueError(f'a simulated radio is reached at "tcp:HOST:PORT", not "{address}"')
    central = Central(lambda: open_tcp_client_transport(place))
    try:
        yield backend(central)
    finally:
        await central.close()
