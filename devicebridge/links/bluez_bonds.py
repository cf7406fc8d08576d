"""Linux: bonds made through BlueZ, with an agent of our own; bleak registers none.

BlueZ asks the agent of the D-Bus connection that calls Pair, so each bond has a connection and an agent to itself,
and neither the desktop's agent nor any other device is touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from dbus_fast.aio import MessageBus
from dbus_fast.constants import ErrorType, MessageType
from dbus_fast.message import Message
from dbus_fast.signature import Variant

from .bluez import (
    ADAPTER,
    BUS_ERRORS,
    DEVICE,
    FALLS_MAX,
    PROPERTIES,
    ROOT,
    Objects,
    Refused,
    call,
    is_bonded,
    objects,
    system_bus,
)
from .bonding import BondedDevice, BondFailed, BondFailure, Person
from .gatt import clean_name
from .gatt_link import Bond, within

REACH_S = 30.0
"""Devices in pairing mode advertise several times a second."""
REACH_TICK_S = 0.1
CALL_S = 10.0
CONNECT_S = 25.0
"""The kernel gives a connection 20 s."""
PAIR_S = 60.0
"""For a person to read six digits and type them."""

_AGENT_PATH = "/devicebridge/agent"
_MANAGER = "org.bluez.AgentManager1"
# src/device.c new_authentication_return, src/error.c and the D-Bus specification.
_FAILURES = {
    "org.bluez.Error.AuthenticationFailed": BondFailure.REFUSED,
    "org.bluez.Error.AuthenticationRejected": BondFailure.REFUSED,
    "org.bluez.Error.AuthenticationTimeout": BondFailure.TIMEOUT,
    "org.bluez.Error.AuthenticationCanceled": BondFailure.VANISHED,  # also what a disconnection is called
    "org.bluez.Error.ConnectionAttemptFailed": BondFailure.VANISHED,
    "org.bluez.Error.Failed": BondFailure.VANISHED,
    "org.bluez.Error.DoesNotExist": BondFailure.VANISHED,
    ErrorType.UNKNOWN_OBJECT.value: BondFailure.VANISHED,
    "org.bluez.Error.NotReady": BondFailure.ADAPTER,
    "org.bluez.Error.InProgress": BondFailure.ADAPTER,
    ErrorType.SERVICE_UNKNOWN.value: BondFailure.ADAPTER,
    ErrorType.NAME_HAS_NO_OWNER.value: BondFailure.ADAPTER,
    ErrorType.NO_REPLY.value: BondFailure.ADAPTER,  # BlueZ went while it was asked
    "org.bluez.Error.NotSupported": BondFailure.UNSUPPORTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long each step may take, in seconds."""

    reach: float = REACH_S
    call: float = CALL_S
    connect: float = CONNECT_S
    pair: float = PAIR_S


class BlueZBonds:
    """`bonding.Bonds` of one adapter, None for the first that is on. state: of the bond with an address."""

    def __init__(self, adapter: str | None, state: Callable[[str], Bond], *, patience: Patience | None = None) -> None:
        self._adapter = adapter
        self._state = state
        self._patience = patience or Patience()

    async def bond(self, address: str, person: Person, /) -> None:
        async with self._session() as session:
            device = session.device(address)
            if await session.is_bonded(device):
                if await self._kept(session, device, address):
                    return
                await session.call(session.adapter, ADAPTER, "RemoveDevice", "o", device)
            await self._heard(session, device)
            await self._pair(session, device, person)

    async def unbond(self, address: str, /) -> bool:
        async with self._session() as session:
            device = session.device(address)
            if not await session.is_bonded(device):
                return False
            await session.call(session.adapter, ADAPTER, "RemoveDevice", "o", device)
            return True

    async def list(self) -> tuple[BondedDevice, ...]:
        async with self._session() as session:
            devices = [(path, o[DEVICE]) for path, o in (await session.objects()).items() if DEVICE in o]
            return tuple(
                BondedDevice(address=device["Address"], name=clean_name(device.get("Name", "")))
                for path, device in devices
                if path.startswith(f"{session.adapter}/") and is_bonded(device)
            )

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[_Session]:
        """Whatever BlueZ or D-Bus refuses in it comes out as BondFailed."""
        try:
            async with system_bus() as bus:
                session = _Session(bus, self._patience.call)
                session.adapter = _choose(await session.objects(), self._adapter)
                yield session
        except Refused as refused:
            raise BondFailed(_FAILURES.get(refused.name, BondFailure.REFUSED)) from refused
        except TimeoutError as error:  # before OSError, which it is one of
            raise BondFailed(BondFailure.TIMEOUT) from error
        except BUS_ERRORS as error:
            raise BondFailed(BondFailure.ADAPTER) from error

    async def _kept(self, session: _Session, device: str, address: str) -> bool:
        """Whether the device still has its half: a link to a bonded device is encrypted or does not come about."""
        for _ in range(FALLS_MAX):
            await self._heard(session, device)
            if await session.get(device, "Connected"):
                return True
            try:
                await session.call(device, DEVICE, "Connect", timeout_s=self._patience.connect)
            except Refused as refused:
                if refused.name != "org.bluez.Error.Failed":
                    raise
            else:
                await session.call(device, DEVICE, "Disconnect")
                return True
            if self._state(address) is Bond.LOST:
                return False
        raise BondFailed(BondFailure.VANISHED)

    async def _heard(self, session: _Session, device: str) -> None:
        """Returns when the device is there and advertises, or is connected. Raises BondFailed(NOT_IN_REACH)."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._patience.reach
        async with session.discovery():
            while await session.get(device, "RSSI") is None and not await session.get(device, "Connected"):
                if loop.time() > end_s:
                    raise BondFailed(BondFailure.NOT_IN_REACH)
                await asyncio.sleep(REACH_TICK_S)

    async def _pair(self, session: _Session, device: str, person: Person) -> None:
        async with session.agent(device, person) as agent:
            try:
                await session.call(device, DEVICE, "Pair", timeout_s=self._patience.pair)
            except Refused as refused:
                if refused.name != "org.bluez.Error.AlreadyExists":
                    raise BondFailed(agent.meaning(refused)) from refused
            except BaseException:
                with suppress(Refused, *BUS_ERRORS):
                    await session.call(device, DEVICE, "CancelPairing")
                raise
        await session.call(device, PROPERTIES, "Set", "ssv", DEVICE, "Trusted", Variant("b", True))
        with suppress(Refused):  # a device that hangs up by itself
            await session.call(device, DEVICE, "Disconnect")


class _Session:
    """BlueZ over one D-Bus connection, each call with its time-out. adapter: its path."""

    def __init__(self, bus: MessageBus, call_s: float) -> None:
        self.bus = bus
        self.adapter = ""
        self._call_s = call_s

    async def call(
        self, path: str, interface: str, member: str, signature: str = "", *body: Any, timeout_s: float | None = None
    ) -> Any:
        calling = call(self.bus, path, interface, member, signature, *body)
        return await within(calling, timeout_s or self._call_s)

    async def objects(self) -> Objects:
        return await within(objects(self.bus), self._call_s)

    def device(self, address: str) -> str:
        return f"{self.adapter}/dev_{address.upper().replace(':', '_')}"

    async def get(self, device: str, name: str) -> Any:
        """A property; None where it, or the device, is not there."""
        try:
            return (await self.call(device, PROPERTIES, "Get", "ss", DEVICE, name)).value
        except Refused as refused:
            if _FAILURES.get(refused.name) is BondFailure.ADAPTER:
                raise
            return None

    async def is_bonded(self, device: str) -> bool:
        bonded = await self.get(device, "Bonded")
        return bool(await self.get(device, "Paired") if bonded is None else bonded)

    @asynccontextmanager
    async def discovery(self) -> AsyncIterator[None]:
        """Ours ends before a connection is made: adapters do the two badly at once."""
        await self.call(self.adapter, ADAPTER, "SetDiscoveryFilter", "a{sv}", {"Transport": Variant("s", "le")})
        await self.call(self.adapter, ADAPTER, "StartDiscovery")
        try:
            yield
        finally:
            with suppress(Refused):  # the adapter went meanwhile, and the discovery with it
                await self.call(self.adapter, ADAPTER, "StopDiscovery")

    @asynccontextmanager
    async def agent(self, device: str, person: Person) -> AsyncIterator[_Agent]:
        agent = _Agent(self.bus, device, person)
        self.bus.add_message_handler(agent.on_message)
        await self.call(ROOT, _MANAGER, "RegisterAgent", "os", _AGENT_PATH, "KeyboardDisplay")
        try:
            yield agent
        finally:
            agent.cancel()
            with suppress(Refused, *BUS_ERRORS):
                await self.call(ROOT, _MANAGER, "UnregisterAgent", "o", _AGENT_PATH)


class _Agent:
    """org.bluez.Agent1: BlueZ's questions about one device, put to a person."""

    def __init__(self, bus: MessageBus, device: str, person: Person) -> None:
        self._bus = bus
        self._device = device
        self._person = person
        self._answering: asyncio.Task[None] | None = None
        self._asked = False
        self._declined = False
        self._questions: dict[str, Callable[[list[Any]], Awaitable[tuple[str, list[Any]] | None]]] = {
            "RequestPasskey": self._passkey,
            "RequestConfirmation": self._is_same,
            "DisplayPasskey": self._show,
            "RequestAuthorization": self._authorize,  # Just Works
        }

    def on_message(self, message: Message) -> Message | bool:
        if message.message_type is not MessageType.METHOD_CALL or message.path != _AGENT_PATH:
            return False
        if message.member in ("Cancel", "Release"):
            self.cancel()
            return Message.new_method_return(message)
        question = self._questions.get(message.member or "")
        if question is None or message.body[0] != self._device:
            return Message.new_error(message, "org.bluez.Error.Rejected", "Rejected")
        self._answering = asyncio.ensure_future(self._answer(message, question(message.body)))
        return True

    def cancel(self) -> None:
        if self._answering is not None:
            self._answering.cancel()

    def meaning(self, refused: Refused) -> BondFailure:
        """BlueZ has one name for whatever the device says no with."""
        if self._declined:
            return BondFailure.CANCELLED
        if self._asked and refused.name == "org.bluez.Error.AuthenticationFailed":
            return BondFailure.WRONG_PASSKEY
        return _FAILURES.get(refused.name, BondFailure.REFUSED)

    async def _answer(self, message: Message, question: Awaitable[tuple[str, list[Any]] | None]) -> None:
        answer = await question
        if answer is None:
            self._declined = True
            await self._bus.send(Message.new_error(message, "org.bluez.Error.Canceled", "Canceled"))
        else:
            await self._bus.send(Message.new_method_return(message, *answer))

    async def _passkey(self, _: list[Any]) -> tuple[str, list[Any]] | None:
        number = await self._person.passkey()
        self._asked = True
        return None if number is None else ("u", [number])

    async def _is_same(self, body: list[Any]) -> tuple[str, list[Any]] | None:
        return ("", []) if await self._person.is_same(body[1]) else None

    async def _show(self, body: list[Any]) -> tuple[str, list[Any]]:
        """BlueZ says it anew with each digit that is typed on the device."""
        if not self._asked:
            self._asked = True
            await self._person.show(body[1])
        return "", []

    async def _authorize(self, _: list[Any]) -> tuple[str, list[Any]]:
        return "", []


def _choose(found: Objects, wanted: str | None) -> str:
    """The adapter's path. Raises BondFailed(ADAPTER) if it is not there or off."""
    for path, interfaces in sorted(found.items()):
        adapter = interfaces.get(ADAPTER)
        if adapter is not None and adapter.get("Powered") and wanted in (None, path.rpartition("/")[2]):
            return path
    raise BondFailed(BondFailure.ADAPTER)
