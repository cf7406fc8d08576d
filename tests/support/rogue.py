"""A hostile peripheral: it advertises as a cuff does, and answers each ATT request with whatever bytes it likes.

Bumble carries the bytes; nothing of its GATT server is used. Attribute Protocol: Bluetooth Core 5.4, vol 3 part F, 3.4.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from bumble.att import ATT_CID
from bumble.core import AdvertisingData
from bumble.device import Device, DeviceConfiguration
from bumble.hci import Address
from bumble.host import Host
from bumble.transport.common import AsyncPipeSink

from devicebridge.testing.radio import Ether
from devicebridge.testing.radio.controllers import SimController
from devicebridge.testing.radio.ether import static_address

ERROR, MTU, MTU_IS, BY_GROUP, GROUPS = 0x01, 0x02, 0x03, 0x10, 0x11
NOTIFICATION, INDICATION, CONFIRMATION = 0x1B, 0x1D, 0x1E
NOT_FOUND = 0x0A
MTU_BYTES = 517
BLOOD_PRESSURE = 0x1810

Answer = Callable[[bytes], Iterable[bytes]]
"""A request's bytes to what is sent for it: nothing, one response, or a flood."""


class Rogue(Device):
    """address: for the config. requests: how many it was sent."""

    def __init__(self, ether: Ether, answer: Answer) -> None:
        self.place = static_address("rogue", 0)
        self.requests = 0
        self._answer = answer
        self._link = SimController(self.place, link=ether.air)
        config = DeviceConfiguration(name="Rogue", address=Address(self.place))
        super().__init__(config=config, host=Host(self._link, AsyncPipeSink(self._link)))

    def on_gatt_pdu(self, connection_handle: int, pdu: bytes) -> None:
        if pdu[0] == CONFIRMATION:
            return
        self.requests += 1
        for answer in self._answer(pdu):
            self.send_l2cap_pdu(connection_handle, ATT_CID, answer)

    async def advertise(self) -> None:
        """Again after each connection: it cannot be shaken off."""
        self.on(self.EVENT_CONNECTION, lambda connection: connection.on("disconnection", self._again))
        await self._advertise()

    def _again(self, _: int) -> None:
        self._advertising = asyncio.ensure_future(self._advertise())

    async def _advertise(self) -> None:
        service = (AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS, struct.pack("<H", BLOOD_PRESSURE))
        await self.start_advertising(advertising_data=bytes(AdvertisingData([service])), scan_response_data=b"")


@asynccontextmanager
async def rogue(ether: Ether, answer: Answer) -> AsyncIterator[Rogue]:
    device = Rogue(ether, answer)
    await device.power_on()
    await device.advertise()
    try:
        yield device
    finally:
        await device.power_off()


def never(request: bytes) -> Iterable[bytes]:
    """Says nothing at all."""
    return ()


def services(last_handle: int, per_answer: int = 80) -> Answer:
    """Lists primary services of one handle each, and nothing in them: 80 an answer, as many as fit."""

    def answer(request: bytes) -> Iterable[bytes]:
        if request[0] == MTU:
            return (struct.pack("<BH", MTU_IS, MTU_BYTES),)
        first = int.from_bytes(request[1:3], "little")
        if request[0] != BY_GROUP or first > last_handle:
            return (struct.pack("<BBHB", ERROR, request[0], first, NOT_FOUND),)
        found = range(first, min(first + per_answer, last_handle + 1))
        return (struct.pack("<BB", GROUPS, 6) + b"".join(struct.pack("<HHH", h, h, BLOOD_PRESSURE) for h in found),)

    return answer


def shouting(answer: Answer, values: int) -> Answer:
    """With each answer, values of characteristics that nobody knows."""

    def shout(request: bytes) -> Iterable[bytes]:
        for n in range(values):
            yield struct.pack("<BH", NOTIFICATION, 0x4000 + n) + bytes(200)
            yield struct.pack("<BH", INDICATION, 0xFFFF - n) + bytes(200)
        yield from answer(request)

    return shout
