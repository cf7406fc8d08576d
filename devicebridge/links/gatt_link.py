"""One connection over bleak, as a session sees it.

Every bleak call has a time-out and ends at once when the peer goes; every queue and value has a bound. A link
that was lost stays lost. Values that arrived before a disconnection are still given out; those of a flood are not.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakDBusError,
    BleakDeviceNotFoundError,
    BleakGATTProtocolError,
)
from bleak.exc import BleakBluetoothNotAvailableReason as Unavailable
from bleak.exc import BleakGATTProtocolErrorCode as Att

from ..clock import Clock
from ..sdk.driver import GattSpec
from ..sdk.links import LinkLost, Loss

T = TypeVar("T")

VALUE_MAX_BYTES = 512
"""No attribute value is longer (Bluetooth Core 5.4, vol 3 part F, 3.2.9)."""
CANCEL_GRACE_S = 2.0
"""For a cancelled bleak call to undo what it began; one that takes longer is abandoned."""


class Bond(StrEnum):
    """NONE: no keys are held. KEPT: the link is encrypted with them. LOST: the peer no longer has its half."""

    NONE = "none"
    KEPT = "kept"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every bound of a radio and its links, in one place so that tests can tighten them.

    connect_timeout_s: with discovery. A slow cuff needs 4 s at a 100 ms interval; one that has just gone must not
        keep the adapter from the others.
    call_timeout_s: one read, write or subscription. ATT itself gives up at 30 s, and never recovers.
    disconnect_timeout_s, scan_timeout_s: an operating system that takes longer hangs.
    queue_values: waiting in one link; four seconds of a 250 Hz stream.
    values_per_s: about what the air carries at the shortest interval; more comes from no medical device.
    fresh_s: devices advertise for 30 s after a measurement; one last heard before that has probably gone.
    silent_s: a scan that hears nobody at all for this long is started anew.
    tracked_addresses: bleak remembers every address of a scan; beyond this many the scan is started anew.
    tick_s: how often these two are looked at.
    retry_min_s, retry_max_s: the back-off of a scan that cannot start.
    sightings: waiting in one `scan`; more are dropped, they repeat.
    """

    connect_timeout_s: float = 10.0
    call_timeout_s: float = 10.0
    pair_timeout_s: float = 60.0
    disconnect_timeout_s: float = 5.0
    scan_timeout_s: float = 10.0
    queue_values: int = 1024
    values_per_s: int = 1000
    fresh_s: float = 30.0
    silent_s: float = 30.0
    tracked_addresses: int = 5000
    tick_s: float = 5.0
    retry_min_s: float = 1.0
    retry_max_s: float = 30.0
    sightings: int = 1000


async def within(
    operation: Coroutine[Any, Any, T], timeout_s: float | None, *, unless: asyncio.Future[Any] | None = None
) -> T:
    """The operation's result; TimeoutError when it takes longer or `unless` is done first.

    Does not rely on the operation to end when it is cancelled: one that will not is abandoned.
    """
    task = asyncio.ensure_future(operation)
    task.add_done_callback(_consume)
    others = () if unless is None else (unless,)
    try:
        await asyncio.wait((task, *others), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return _result(task)
        raise TimeoutError
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=CANCEL_GRACE_S)


def _result(task: asyncio.Task[T]) -> T:
    if task.cancelled():  # by the backend, at a disconnection: not a cancellation of ours
        raise ConnectionAbortedError
    return task.result()


def _consume(task: asyncio.Task[Any]) -> None:
    """What an abandoned call raises in the end interests nobody."""
    if not task.cancelled():
        task.exception()


_UNAVAILABLE = {
    Unavailable.NO_BLUETOOTH: Loss.ADAPTER_ABSENT,
    Unavailable.NO_BLE_CENTRAL_ROLE: Loss.ADAPTER_ABSENT,
    Unavailable.POWERED_OFF: Loss.ADAPTER_OFF,
    Unavailable.DENIED_BY_USER: Loss.DENIED,
    Unavailable.DENIED_BY_SYSTEM: Loss.DENIED,
    Unavailable.DENIED_BY_UNKNOWN: Loss.DENIED,
}
_SECURITY = {
    Att.INSUFFICIENT_AUTHENTICATION,
    Att.INSUFFICIENT_AUTHORIZATION,
    Att.INSUFFICIENT_ENCRYPTION,
    Att.INSUFFICIENT_ENCRYPTION_KEY_SIZE,
}
# Names from BlueZ (src/error.c, src/gatt-client.c create_gatt_dbus_error) and the D-Bus specification.
_DBUS = {
    "org.bluez.Error.NotPermitted": Loss.BOND_REQUIRED,  # "Not paired": bleak turns the other meanings into ATT codes
    "org.bluez.Error.AuthenticationCanceled": Loss.BOND_REQUIRED,
    "org.bluez.Error.AuthenticationTimeout": Loss.BOND_REQUIRED,
    "org.bluez.Error.AuthenticationRejected": Loss.BOND_REQUIRED,
    "org.bluez.Error.AuthenticationFailed": Loss.BOND_LOST,
    "org.bluez.Error.NotReady": Loss.ADAPTER_OFF,
    "org.bluez.Error.NotConnected": Loss.DISCONNECTED,
    "org.bluez.Error.InProgress": Loss.BUSY,
    "org.freedesktop.DBus.Error.ServiceUnknown": Loss.ADAPTER_ABSENT,
    "org.freedesktop.DBus.Error.NameHasNoOwner": Loss.ADAPTER_ABSENT,
    "org.freedesktop.DBus.Error.UnknownObject": Loss.DISCONNECTED,
    "org.freedesktop.DBus.Error.AccessDenied": Loss.DENIED,
}
_PYTHON = (
    (TimeoutError, Loss.TIMEOUT),
    (BleakDeviceNotFoundError, Loss.OUT_OF_REACH),
    (FileNotFoundError, Loss.ADAPTER_ABSENT),  # no D-Bus socket
    (PermissionError, Loss.DENIED),
    (ConnectionError, Loss.DISCONNECTED),
    (EOFError, Loss.DISCONNECTED),  # the D-Bus connection ended
)


def loss_of(error: BaseException) -> Loss:
    """What an exception out of bleak means; FAILED where it says nothing in particular."""
    if isinstance(error, LinkLost):
        return error.reason
    if isinstance(error, BleakBluetoothNotAvailableError):
        return _UNAVAILABLE.get(error.reason, Loss.ADAPTER_ABSENT)
    if isinstance(error, BleakGATTProtocolError):
        return Loss.BOND_REQUIRED if error.code in _SECURITY else Loss.FAILED
    if isinstance(error, BleakDBusError):
        return _DBUS.get(error.dbus_error, Loss.FAILED)
    return next((loss for kind, loss in _PYTHON if isinstance(error, kind)), Loss.FAILED)


class BleakLink:
    """A GattLink over one BleakClient.

    A request the device refuses raises LinkLost(FAILED), or BOND_REQUIRED or BOND_LOST where it asks for security,
    and leaves the link up; whatever else goes wrong is final.
    """

    def __init__(
        self,
        connect: Callable[[Callable[[BleakClient], None]], BleakClient],
        *,
        name: str,
        advertised: frozenset[str],
        clock: Clock,
        limits: Limits,
        bond: Callable[[], Bond],
    ) -> None:
        self._client = connect(self._on_disconnect)
        self._name = name
        self._advertised = advertised
        self._clock = clock
        self._limits = limits
        self._bond = bond
        self._characteristics: dict[str, BleakGATTCharacteristic] = {}
        self._lost: asyncio.Future[Loss] = asyncio.get_running_loop().create_future()
        self._values: deque[tuple[str, bytes]] = deque()
        self._arrived = asyncio.Event()
        self._second = 0
        self._values_this_second = 0

    async def open(self, spec: GattSpec, *, pair: bool) -> None:
        """Connects and discovers. Raises LinkLost; call `close` in any case."""
        try:
            await self._call(self._client.connect(), self._limits.connect_timeout_s)
        except LinkLost as lost:
            if self._bond() is Bond.LOST:
                raise LinkLost(Loss.BOND_LOST) from lost
            raise
        if not pair and self._must_be_bonded(spec) and (bond := self._bond()) is not Bond.KEPT:
            raise LinkLost(Loss.BOND_LOST if bond is Bond.LOST else Loss.BOND_REQUIRED)
        self._characteristics = _table(self._client, spec)
        if pair:
            await self._pair()

    async def close(self) -> None:
        """Disconnects, or gives up trying after a bounded time. Never raises."""
        self._lose(Loss.DISCONNECTED)
        try:
            await within(self._client.disconnect(), self._limits.disconnect_timeout_s)
        except Exception:  # noqa: BLE001  the link is thrown away, and backends raise their platform's own errors
            return

    @property
    def name(self) -> str:
        return self._name

    def has(self, characteristic: str, /) -> bool:
        return characteristic in self._characteristics

    async def read(self, characteristic: str, /) -> bytes:
        value = await self._request(self._client.read_gatt_char, self._find(characteristic))
        if len(value) > VALUE_MAX_BYTES:
            raise self._lose(Loss.FLOODED)
        return bytes(value)

    async def write(self, characteristic: str, data: bytes, /) -> None:
        found = self._find(characteristic)
        acknowledged = "write" in found.properties or "write-without-response" not in found.properties
        await self._request(self._client.write_gatt_char, found, data, acknowledged)

    async def subscribe(self, *characteristics: str) -> BleakLink:
        """All subscriptions of a link share one stream, which is the link itself.

        A peer that has sent something and gone before this is done has still sent it.
        """
        try:
            for uuid in characteristics:
                await self._request(self._client.start_notify, self._find(uuid), partial(self._on_value, uuid))
        except LinkLost:
            if not (self._lost.done() and self._values):
                raise
        return self

    def __aiter__(self) -> BleakLink:
        return self

    async def __anext__(self) -> tuple[str, bytes]:
        while not self._values:
            if self._lost.done():
                raise LinkLost(self._lost.result())
            self._arrived.clear()
            await self._arrived.wait()
        return self._values.popleft()

    def _must_be_bonded(self, spec: GattSpec) -> bool:
        """A device that advertises a service and then has none of them shows its services to nobody else."""
        found = {service.uuid for service in self._client.services}
        is_hidden = not found & set(spec.services) and bool(self._advertised & set(spec.services))
        return spec.bond_required or is_hidden

    def _find(self, characteristic: str) -> BleakGATTCharacteristic:
        if self._lost.done():
            raise LinkLost(self._lost.result())
        if (found := self._characteristics.get(characteristic)) is None:
            raise LinkLost(Loss.UNEXPECTED_DEVICE)
        return found

    def _on_value(self, uuid: str, _: BleakGATTCharacteristic, data: bytearray) -> None:
        if self._lost.done():
            return
        second = int(self._clock.monotonic_s())
        if second != self._second:
            self._second, self._values_this_second = second, 0
        self._values_this_second += 1
        if (
            len(data) > VALUE_MAX_BYTES
            or len(self._values) >= self._limits.queue_values
            or self._values_this_second > self._limits.values_per_s
        ):
            self._lose(Loss.FLOODED)
            return
        self._values.append((uuid, bytes(data)))
        self._arrived.set()

    def _on_disconnect(self, _: BleakClient) -> None:
        self._lose(Loss.DISCONNECTED)

    def _lose(self, reason: Loss) -> LinkLost:
        if not self._lost.done():
            self._lost.set_result(reason)
            if reason is Loss.FLOODED:
                self._values.clear()
            self._arrived.set()
        return LinkLost(self._lost.result())

    async def _pair(self) -> None:
        try:
            await self._call(self._client.pair(), self._limits.pair_timeout_s)
        except LinkLost as lost:
            raise LinkLost(Loss.BOND_REQUIRED) from lost

    async def _request(self, method: Callable[..., Coroutine[Any, Any, T]], *arguments: object) -> T:
        return await self._call(method(*arguments), self._limits.call_timeout_s)

    async def _call(self, operation: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """The time-out loses the link before the call is cancelled, which may disconnect: that is not why it went."""
        overdue = asyncio.get_running_loop().call_later(timeout_s, self._lose, Loss.TIMEOUT)
        try:
            return await within(operation, None, unless=self._lost)
        except BleakGATTProtocolError as refusal:
            raise LinkLost(self._refused(loss_of(refusal))) from refusal
        except Exception as error:
            reason = loss_of(error)
            if reason in (Loss.BOND_REQUIRED, Loss.BOND_LOST):
                raise LinkLost(self._refused(reason)) from error
            if reason is Loss.FAILED and not self._client.is_connected:
                reason = Loss.DISCONNECTED
            raise self._lose(reason) from error
        finally:
            overdue.cancel()

    def _refused(self, reason: Loss) -> Loss:
        if reason is Loss.BOND_REQUIRED and self._bond() is Bond.LOST:
            return Loss.BOND_LOST
        return reason


def _table(client: BleakClient, spec: GattSpec) -> dict[str, BleakGATTCharacteristic]:
    """Characteristics by UUID; where several services have one, that of the spec's first service counts.

    A device with none of the spec's services is not the one that was configured, whatever it calls itself.
    """
    services = sorted(client.services, key=lambda s: (_rank(s.uuid, spec), s.handle))
    if spec.services and not any(service.uuid in spec.services for service in services):
        raise LinkLost(Loss.UNEXPECTED_DEVICE)
    table: dict[str, BleakGATTCharacteristic] = {}
    for service in services:
        for characteristic in service.characteristics:
            table.setdefault(characteristic.uuid, characteristic)
    return table


def _rank(service: str, spec: GattSpec) -> int:
    return spec.services.index(service) if service in spec.services else len(spec.services)
