"""Listening to a serial port without sending a byte: which driver understands what comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..clock import Clock
from ..links.serial import SerialOpener
from ..links.serial_ports import Attached, PortError, attached_ports
from ..sdk.codec import Frame
from ..sdk.driver import Driver, SerialSpec
from ..sdk.links import LinkLost, Loss
from .recognise import Recognition

LISTEN_S = 2.5
"""Devices that speak by themselves do so at least every second."""
BYTES_MAX = 4096
"""Enough of any of them; a flood is cut here."""
FRAMES_MIN = 2
"""One frame may be chance."""


@dataclass(frozen=True, slots=True)
class Heard:
    """size: bytes heard, at all settings. failed: why the port could not be listened to."""

    drivers: tuple[Recognition, ...] = ()
    size: int = 0
    failed: Loss | None = None


async def probe(
    port: str,
    drivers: Iterable[Driver[Any]],
    clock: Clock,
    tell: Callable[[SerialSpec], None],
    attached: Attached = attached_ports,
) -> Heard:
    """One line setting after another until a driver understands; after silence at the first there is nothing to hear.

    tell: which setting is tried now.
    """
    by_setting: dict[SerialSpec, list[Driver[Any]]] = {}
    for driver in drivers:
        for spec in driver.manifest.links:
            if isinstance(spec, SerialSpec):
                by_setting.setdefault(_setting(spec), []).append(driver)
    size = 0
    for spec, speakers in by_setting.items():
        tell(spec)
        try:
            data = await _listen(port, spec, clock, attached)
        except (LinkLost, PortError) as error:
            return Heard(size=size, failed=error.reason if isinstance(error, LinkLost) else Loss.NOT_FOUND)
        size += len(data)
        if found := tuple(filter(None, (_understood(driver, data) for driver in speakers))):
            return Heard(tuple(sorted(found, key=lambda r: r.rank)), size)
        if not size:
            break
    return Heard(size=size)


def _setting(spec: SerialSpec) -> SerialSpec:
    return SerialSpec(baud=spec.baud, data_bits=spec.data_bits, parity=spec.parity, stop_bits=spec.stop_bits)


async def _listen(port: str, spec: SerialSpec, clock: Clock, attached: Attached) -> bytes:
    data = b""
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(LISTEN_S),
            SerialOpener(port, spec, baud=None, clock=clock, attached=attached).open() as link,
        ):
            while len(data) < BYTES_MAX:
                data += await link.read()
    return data


def _understood(driver: Driver[Any], data: bytes) -> Recognition | None:
    """Only where frames are more than half of what came. rank: what was not understood, in bytes."""
    try:
        codec = driver.codec(driver.options(), None, None)
        items = [*codec.feed(data), *codec.close()]
    except Exception:  # noqa: BLE001 - a driver that fails on these bytes does not read them
        return None
    frames = [item for item in items if isinstance(item, Frame)]
    understood = sum(len(frame.raw) for frame in frames)
    if len(frames) < FRAMES_MIN or understood * 2 <= len(data):
        return None
    return Recognition(driver.manifest.id, "what it sends", len(data) - understood)
