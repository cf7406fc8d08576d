"""AgentManager1, and Bumble's questions put to the agent of whoever asked for a bond."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bumble.pairing import PairingDelegate
from dbus_fast.aio import MessageBus
from dbus_fast.constants import MessageType
from dbus_fast.message import Message

from .objects import NOTHING, Interface, Refused, Reply

PATH = "/org/bluez"
_CAPABILITIES = {
    "": PairingDelegate.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT,
    "DisplayOnly": PairingDelegate.DISPLAY_OUTPUT_ONLY,
    "DisplayYesNo": PairingDelegate.DISPLAY_OUTPUT_AND_YES_NO_INPUT,
    "KeyboardOnly": PairingDelegate.KEYBOARD_INPUT_ONLY,
    "NoInputNoOutput": PairingDelegate.NO_OUTPUT_NO_INPUT,
    "KeyboardDisplay": PairingDelegate.DISPLAY_OUTPUT_AND_KEYBOARD_INPUT,
}


class Agents:
    """One agent a D-Bus client. A bond is made with that of the client that asks for it."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._agents: dict[str, tuple[str, str]] = {}

    def interface(self) -> Interface:
        methods = {
            "RegisterAgent": self._register,
            "UnregisterAgent": self._unregister,
            "RequestDefaultAgent": self._request_default,
        }
        return Interface("org.bluez.AgentManager1", methods=methods)

    def drop(self, client: str) -> None:
        self._agents.pop(client, None)

    def of(self, client: str, device: str) -> AskedAgent:
        """Without one nobody can be asked anything."""
        path, capability = self._agents.get(client, ("", "NoInputNoOutput"))
        return AskedAgent(self._bus, client, path, device, _CAPABILITIES[capability])

    async def _register(self, message: Message) -> Reply:
        path, capability = message.body
        if capability not in _CAPABILITIES:
            raise Refused("InvalidArguments")
        if message.sender in self._agents:
            raise Refused("AlreadyExists", "Already Exists")
        self._agents[message.sender or ""] = path, capability
        return NOTHING

    async def _unregister(self, message: Message) -> Reply:
        if self._agents.pop(message.sender or "", None) is None:
            raise Refused("DoesNotExist", "Does Not Exist")
        return NOTHING

    async def _request_default(self, _: Message) -> Reply:
        return NOTHING


class AskedAgent(PairingDelegate):
    """An Agent1 that is asked while one bond is being made."""

    def __init__(
        self, bus: MessageBus, client: str, path: str, device: str, capability: PairingDelegate.IoCapability
    ) -> None:
        keys = PairingDelegate.KeyDistribution.DISTRIBUTE_ENCRYPTION_KEY
        super().__init__(capability, keys, keys)
        self._bus = bus
        self._client = client
        self._path = path
        self._device = device

    @contextmanager
    def asked(self) -> Iterator[None]:
        """Tells the agent if it ended otherwise than well."""
        try:
            yield
        except BaseException:
            if self._path and self._bus.connected:
                self._bus.send(self._message("Cancel", ""))
            raise

    async def get_number(self) -> int | None:
        reply = await self._ask("RequestPasskey", "o")
        return None if reply is None else int(reply[0])

    async def compare_numbers(self, number: int, digits: int) -> bool:
        return await self._ask("RequestConfirmation", "ou", number) is not None

    async def display_number(self, number: int, digits: int) -> None:
        await self._ask("DisplayPasskey", "ouq", number, 0)

    async def _ask(self, member: str, signature: str, *body: Any) -> list[Any] | None:
        """None where the agent, or the person behind it, said no."""
        reply = await self._bus.call(self._message(member, signature, self._device, *body))
        return None if reply.message_type is MessageType.ERROR else reply.body

    def _message(self, member: str, signature: str, *body: Any) -> Message:
        return Message(
            destination=self._client,
            path=self._path,
            interface="org.bluez.Agent1",
            member=member,
            signature=signature,
            body=list(body),
        )
