"""One session with a Polar H10: the EKG stream is begun, and passed on until the strap goes.

Two values are written, which the protocol needs: begin the EKG at 130 Hz and 14 bits, the only setting an H10 has
(gatttool.md of phdiethelm/h10_ecg, "Get measurement settings"), and, where an earlier stream still runs, stop it first.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from devicebridge.sdk import GattLink, LinkLost, Loss, Noise, Options, Outlet, UnexpectedDevice
from devicebridge.sdk.gatt_device import Arrivals, read_battery, read_identity

from .codec import CONTROL, DATA, Answer, DataCodec, Samples, codec

BEGIN = bytes.fromhex("02000001820001010e00")
STOP = bytes.fromhex("0300")
OP_BEGIN, OP_STOP = BEGIN[0], STOP[0]
SUCCESS, ALREADY = 0, 6
ANSWER_WITHIN_S = 5.0
TRIES = 2


class PolarOptions(Options):
    """There is nothing to choose."""


async def session(link: GattLink, outlet: Outlet, options: PolarOptions) -> None:
    """Ends with LinkLost; raises UnexpectedDevice for a strap without EKG."""
    if not (link.has(CONTROL) and link.has(DATA)):
        raise UnexpectedDevice
    arrivals = Arrivals(await link.subscribe(CONTROL, DATA))
    try:
        await read_identity(link, outlet)
        await read_battery(link, outlet)
        await _begin(link, outlet, arrivals)
        await _stream(outlet, arrivals)
    except asyncio.CancelledError:
        with suppress(LinkLost):
            await link.write(CONTROL, STOP)
        raise
    finally:
        await arrivals.close()


async def _begin(link: GattLink, outlet: Outlet, arrivals: Arrivals) -> None:
    """A stream that an earlier session left running has lost samples at its head: it begins anew."""
    for _ in range(TRIES):
        await link.write(CONTROL, BEGIN)
        error = await _answer(outlet, arrivals, OP_BEGIN)
        if error == SUCCESS:
            return
        if error != ALREADY:
            raise UnexpectedDevice
        await link.write(CONTROL, STOP)
        await _answer(outlet, arrivals, OP_STOP)
    raise LinkLost(Loss.FAILED)


async def _answer(outlet: Outlet, arrivals: Arrivals, opcode: int) -> int:
    while (arrived := await arrivals.next(ANSWER_WITHIN_S)) is not None:
        if arrived[0] != CONTROL:
            continue  # of the stream before this one
        for item in codec(CONTROL).feed(arrived[1]):
            if isinstance(item, Noise):
                outlet.note(item)
            elif isinstance(item, Answer) and item.opcode == opcode:
                return item.error
    raise LinkLost(Loss.TIMEOUT)


async def _stream(outlet: Outlet, arrivals: Arrivals) -> None:
    samples = DataCodec()
    while True:
        arrived = await arrivals.next(None)
        assert arrived is not None
        if arrived[0] != DATA:
            continue
        for item in samples.feed(arrived[1]):
            if isinstance(item, Noise):
                outlet.note(item)
            elif isinstance(item, Samples) and item.wave is not None:
                outlet.wave(item.wave)
