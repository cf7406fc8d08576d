"""A simulated peripheral: a GATT server that plays a scenario on each connection.

It advertises while awake. A host that connects gets a fresh attribute table and one play; when the scenario has
no more to say the peripheral waits until the host has been quiet for a while, as real ones do, and hangs up.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

from bumble import att, hci, smp
from bumble.core import AdvertisingData
from bumble.core import ConnectionError as BumbleConnectionError
from bumble.device import Connection
from bumble.gatt import Characteristic as BumbleCharacteristic
from bumble.keys import MemoryKeyStore
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import AsyncPipeSink

from ...sdk.simulation import GattScenario, GattSimulator
from .controllers import Air, SimController
from .devices import SimDevice, just_works, short_uuid
from .security import Answer, Keypad, Security

ADVERTISING_INTERVAL_MS = 30
"""The fast advertising of the Bluetooth health profiles, while somebody waits for a result."""
IDLE_S = 5.0
"""A device hangs up when the host was quiet for about so long, as the Bluetooth health profiles advise."""
IDLE_MIN_S = 0.05
"""The least of it at any pace, so that a host in the middle of its reads is not cut off."""
CANCEL_AGAIN_S = 0.1
NO_CLASSIC, GENERAL, LIMITED = 0x04, 0x02, 0x01
"""Advertising flags (Core Specification Supplement 11, A 1.3): devices in pairing mode say "limited discoverable"."""
_UUID_LISTS = {
    2: AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    16: AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
}


class Peripheral:
    """Made by `Ether.add`."""

    def __init__(
        self,
        air: Air,
        simulator: GattSimulator,
        scenario: GattScenario,
        address: str,
        *,
        period_s: float | None,
        pace: float,
        delegate: PairingDelegate | None,
        security: Security | None,
    ) -> None:
        self.address = address
        self.name = simulator.name
        self._advertised = simulator.advertised
        self._scenario = scenario
        self._period_s = period_s
        self._pace = pace
        self._security = security
        self._pairing_mode = security is not None
        self.display: int | None = None
        """The six digits it shows while it bonds."""
        self._controller = SimController(address, link=air)
        self._keys = MemoryKeyStore()
        self._device = SimDevice(
            simulator.name,
            address,
            self._controller,
            AsyncPipeSink(self._controller),
            keys=self._keys,
            delegate=delegate or just_works(),
            private=security is not None and security.private,
            hides_services=security is not None and security.hides_services,
        )
        if security is not None:
            self._device.pairing_config_factory = lambda connection: PairingConfig(
                delegate=Keypad(security, partial(self._wants_bond, connection), self._show)
            )
            self._device.on(self._device.EVENT_KEY_STORE_UPDATE, self._on_bonded)
        self._awake = asyncio.Event()
        self._connections: asyncio.Queue[Connection | None] = asyncio.Queue()
        self._played = asyncio.Condition()
        self._plays = 0
        self._life: asyncio.Task[None] | None = None

    @property
    def plays(self) -> int:
        """How many connections it has played to their end."""
        return self._plays

    async def played(self, plays: int) -> None:
        """Waits until so many connections were played to their end; raises what a scenario raised."""
        async with self._played:
            await self._played.wait_for(lambda: self._plays >= plays or self._failed)
        self._raise()

    @property
    def bonded(self) -> bool:
        return bool(self._keys.all_keys)

    def wake(self, scenario: GattScenario | None = None, *, pairing_mode: bool | None = None) -> None:
        """Advertises until somebody connects, then plays `scenario` (the last one if none is given).

        pairing_mode: switches it on or off; a bond that was made switches it off.
        """
        self._scenario = scenario or self._scenario
        if pairing_mode is not None:
            self._pairing_mode = pairing_mode
        self._awake.set()

    def sleep(self) -> None:
        """Stops advertising."""
        self._awake.clear()
        self._controller.le_legacy_advertiser.stop()
        self._connections.put_nowait(None)

    def lose(self) -> None:
        """The connection, if any, is lost: both ends see a supervision time-out."""
        self._controller.lose_connections()

    def vanish(self) -> None:
        """Battery pulled: the connection is lost and nothing is advertised until `wake`."""
        self.sleep()
        self._period_s = None
        self.lose()

    def forget(self) -> None:
        """Loses its half of every bond."""
        self._keys.all_keys.clear()

    async def start(self) -> None:
        await self._device.power_on()
        self._device.on(self._device.EVENT_CONNECTION, self._connections.put_nowait)
        self._life = asyncio.create_task(self._live(), name=f"peripheral {self.name}")

    async def stop(self) -> None:
        """Raises what a scenario raised."""
        if self._life is None:
            return
        while not self._life.done():  # Python 3.11's wait_for, which Bumble uses, can swallow a cancellation
            self._life.cancel()
            await asyncio.wait((self._life,), timeout=CANCEL_AGAIN_S)
        self._controller.silence(hci.HCI_ErrorCode.REMOTE_DEVICE_TERMINATED_CONNECTION_DUE_TO_POWER_OFF_ERROR)
        self._controller.link.remove_controller(self._controller)
        self._raise()

    @property
    def _failed(self) -> bool:
        return self._life is not None and self._life.done() and not self._life.cancelled()

    def _raise(self) -> None:
        if self._life is not None and self._failed:
            self._life.result()

    async def _live(self) -> None:
        try:
            while True:
                await self._awake.wait()
                services = self._scenario.services()
                served = self._device.serve(self._security.guarded(services) if self._security else services)
                await self._advertise()
                connection = await self._connections.get()
                if connection is None:  # told to sleep
                    continue
                self._awake.clear()
                await self._play(connection, served)
                if self._period_s is not None:
                    await asyncio.sleep(self._period_s * self._pace)
                    self._awake.set()
        finally:
            async with self._played:
                self._played.notify_all()

    async def _advertise(self) -> None:
        await self._device.start_advertising(
            advertising_data=_advertisement(self.name, self._advertised, LIMITED if self._pairing_mode else GENERAL),
            scan_response_data=b"",
            # Bumble's controller takes the interval's 0.625 ms slots for milliseconds.
            advertising_interval_min=ADVERTISING_INTERVAL_MS * 0.625,
            advertising_interval_max=ADVERTISING_INTERVAL_MS * 0.625,
        )

    async def _wants_bond(self, connection: Connection) -> bool:
        assert self._security is not None
        match self._security.answer:
            case Answer.VANISH:
                self.vanish()
            case Answer.BONDED_ELSEWHERE:
                await connection.disconnect(hci.HCI_ErrorCode.AUTHENTICATION_FAILURE_ERROR)
            case Answer.REFUSE:
                reason = smp.ErrorCode.AUTHENTICATION_REQUIREMENTS
                refusal = smp.SMP_Pairing_Failed_Command(reason=reason)
                self._device.smp_manager.send_command(connection, refusal)
                await asyncio.Event().wait()  # Bumble would give a reason of its own
        return self._pairing_mode

    def _show(self, number: int) -> None:
        self.display = number

    def _on_bonded(self) -> None:
        self._pairing_mode, self.display = False, None

    async def _play(self, connection: Connection, served: dict[str, BumbleCharacteristic[bytes]]) -> None:
        port = _Port(connection, self._device, served, pace=self._pace, force=self._scenario.faulty)
        play = asyncio.ensure_future(self._scenario.run(port))
        try:
            await asyncio.wait((play, port.closed), return_when=asyncio.FIRST_COMPLETED)
            if play.done():
                play.result()
                await port.linger()
        finally:
            play.cancel()
            await asyncio.wait((play,))
            await port.disconnect()
            self._device.gatt_server.on_disconnection(connection)  # a cancelled indication leaves an entry behind
        async with self._played:
            self._plays += 1
            self._played.notify_all()


class _Port:
    """GattPort over one Bumble connection.

    force: sends values to a host that did not enable them, too.
    """

    def __init__(
        self,
        connection: Connection,
        device: SimDevice,
        served: dict[str, BumbleCharacteristic[bytes]],
        *,
        pace: float,
        force: bool,
    ) -> None:
        self._connection = connection
        self._device = device
        self._served = served
        self._pace = pace
        self._force = force
        self._subscribed = {uuid: asyncio.Event() for uuid in served}
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        connection.once(connection.EVENT_DISCONNECTION, self._on_disconnection)
        if device.lookup_connection(connection.handle) is not connection:
            self._on_disconnection(0)
        for uuid, characteristic in served.items():
            characteristic.on(characteristic.EVENT_SUBSCRIPTION, partial(self._on_subscription, uuid))

    async def subscribed(self, characteristic: str, /) -> None:
        await self._subscribed[characteristic].wait()

    async def notify(self, characteristic: str, value: bytes, /) -> None:
        await self._connected()
        await self._device.gatt_server.notify_subscriber(
            self._connection, self._served[characteristic], value, force=self._force
        )
        await self._connection.drain()

    async def indicate(self, characteristic: str, value: bytes, /) -> None:
        await self._connected()
        await self._device.gatt_server.indicate_subscriber(
            self._connection, self._served[characteristic], value, force=self._force
        )

    async def pause(self, seconds: float, /) -> None:
        await asyncio.sleep(seconds * self._pace)

    async def disconnect(self) -> None:
        if self.closed.done():
            return
        with suppress(hci.HCI_Error, BumbleConnectionError):  # the host was quicker
            await self._connection.disconnect()

    async def linger(self) -> None:
        """Returns when the host has been quiet for a while, or has gone."""
        idle_s = max(IDLE_S * self._pace, IDLE_MIN_S)
        loop = asyncio.get_running_loop()
        while not self.closed.done():
            left_s = self._device.heard_s + idle_s - loop.time()
            if left_s <= 0:
                return
            await asyncio.wait((self.closed,), timeout=left_s)

    async def _connected(self) -> None:
        """Lets others run; never returns once the host has gone, when the play is about to be cancelled."""
        await asyncio.sleep(0)
        if self.closed.done():
            await asyncio.Event().wait()

    def _on_subscription(self, uuid: str, bearer: att.Bearer, notify: bool, indicate: bool) -> None:
        if bearer is self._connection and (notify or indicate):
            self._subscribed[uuid].set()

    def _on_disconnection(self, _: int) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


def _advertisement(name: str, services: tuple[str, ...], discoverable: int) -> bytes:
    """Flags, service UUIDs and the name: Bumble's controller sends no scan response of its own."""
    parts: list[tuple[int, bytes]] = [(AdvertisingData.Type.FLAGS, bytes([NO_CLASSIC | discoverable]))]
    for size, kind in _UUID_LISTS.items():
        if packed := b"".join(data for s in services if len(data := short_uuid(s).to_bytes()) == size):
            parts.append((kind, packed))
    parts.append((AdvertisingData.Type.COMPLETE_LOCAL_NAME, name.encode()))
    return bytes(AdvertisingData(parts))
