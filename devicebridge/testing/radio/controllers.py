"""The air and the controllers: Bumble's, with what Bumble 0.0.236 leaves out added in subclasses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import floor

from bumble import hci, ll
from bumble.controller import Connection, Controller, LegacyAdvertiser
from bumble.core import PhysicalTransport
from bumble.link import LocalLink

_FIFO_STEP_S = 1e-6
"""Timers with the same deadline do not run in the order they were made, so each packet gets its own."""


class Air(LocalLink):
    """Carries packets between controllers, at the next connection event where there is an interval."""

    def __init__(self, interval_s: float | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._interval_s = interval_s
        self._last_s = 0.0

    def send_acl_data(
        self,
        sender_controller: Controller,
        destination_address: hci.Address,
        transport: PhysicalTransport,
        data: bytes,
    ) -> None:
        sender = sender_controller.random_address
        receiver = self.other_end(sender, destination_address)
        if receiver is not None:
            self._deliver(lambda: receiver.on_link_acl_data(sender, transport, data))

    def send_ll_control_pdu(
        self, sender_address: hci.Address, receiver_address: hci.Address, packet: ll.ControlPdu
    ) -> None:
        """In order with the data. A receiver that is gone hears nothing; Bumble's own raises."""
        if (receiver := self.other_end(sender_address, receiver_address)) is not None:
            self._deliver(lambda: receiver.on_ll_control_pdu(sender_address, packet))

    def other_end(self, near: hci.Address, far: hci.Address) -> Controller | None:
        """Who is at the far end of a connection: several programs on one PC go by one address."""
        for controller in self.controllers:
            connection = controller.le_connections.get(near)
            if connection is not None and connection.self_address == far:
                return controller
        found: Controller | None = self.find_le_controller(far)
        return found

    def advertise(self, address: hci.Address, data: bytes) -> None:
        """One advertisement from nowhere, heard by all."""
        for controller in self.controllers:
            asyncio.get_running_loop().call_soon(
                controller.on_ll_advertising_pdu, ll.AdvInd(advertiser_address=address, data=data)
            )

    def _deliver(self, deliver: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        if self._interval_s is None:
            loop.call_soon(deliver)
            return
        event_s = (floor(loop.time() / self._interval_s) + 1) * self._interval_s
        self._last_s = max(event_s, self._last_s + _FIFO_STEP_S)
        loop.call_at(self._last_s, deliver)


class SimController(Controller):
    """A controller that can be reset, can give up connecting and says so when a connection never came up."""

    link: Air
    le_acl_data_packet_length = 251  # the default of 27 costs three times the CPU
    # Bumble claims these but sends the plain Connection Complete event, which hosts that believe it never get.
    le_features = Controller.le_features & ~(
        hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
        | hci.LeFeatureMask.LE_PERIODIC_ADVERTISING
        | hci.LeFeatureMask.LL_PRIVACY
    )

    def on_hci_reset_command(self, _command: hci.HCI_Reset_Command) -> hci.HCI_StatusReturnParameters:
        self.silence(hci.HCI_ErrorCode.REMOTE_USER_TERMINATED_CONNECTION_ERROR)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def silence(self, reason: hci.HCI_ErrorCode) -> None:
        """Ends every connection, for both ends, and stops scanning, advertising and connecting."""
        self.pending_le_connection = None
        self.le_scan_enable = False
        self.le_legacy_advertiser.stop()
        self.le_legacy_advertiser = LegacyAdvertiser(self)
        for connection in tuple(self.le_connections.values()):
            connection.send_ll_control_pdu(ll.TerminateInd(reason))
            self.on_le_disconnected(connection, reason)

    def lose_connections(self) -> None:
        """Out of range: both ends run into the supervision time-out."""
        for connection in tuple(self.le_connections.values()):
            peer = self.link.other_end(connection.self_address, connection.peer_address)
            other = None if peer is None else peer.le_connections.get(connection.self_address)
            self.on_le_disconnected(connection, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)
            if peer is not None and other is not None:
                peer.on_le_disconnected(other, hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR)

    def on_le_disconnected(self, connection: Connection, reason: int) -> None:
        if self.le_connections.get(connection.peer_address) is connection:
            super().on_le_disconnected(connection, reason)

    def on_hci_disconnect_command(self, command: hci.HCI_Disconnect_Command) -> None:
        if self.find_connection_by_handle(command.connection_handle) is None:
            self._send_hci_command_status(hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR, command.op_code)
            return
        super().on_hci_disconnect_command(command)

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        if (pending := self.pending_le_connection) is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        self.pending_le_connection = None
        asyncio.get_running_loop().call_soon(self._connection_failed, pending.peer_address)
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)

    def _connection_failed(self, peer: hci.Address) -> None:
        self.send_hci_packet(
            hci.HCI_LE_Connection_Complete_Event(
                status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                connection_handle=0,
                role=hci.Role.CENTRAL,
                peer_address_type=peer.address_type,
                peer_address=peer,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            )
        )

    def on_le_connect_ind(self, packet: ll.ConnectInd) -> None:
        """A connection asked for just as advertising ended: the other side must not believe in it."""
        super().on_le_connect_ind(packet)
        if packet.advertiser_address == self.random_address and (packet.initiator_address not in self.le_connections):
            self.link.send_ll_control_pdu(
                sender_address=self.random_address,
                receiver_address=packet.initiator_address,
                packet=ll.TerminateInd(hci.HCI_ErrorCode.CONNECTION_FAILED_TO_BE_ESTABLISHED_ERROR),
            )

    def on_ll_control_pdu(self, sender_address: hci.Address, packet: ll.ControlPdu) -> None:
        if sender_address in self.le_connections:  # both ends may hang up at once
            super().on_ll_control_pdu(sender_address, packet)

    def on_hci_acl_data_packet(self, packet: hci.HCI_AclDataPacket) -> None:
        if self.find_connection_by_handle(packet.connection_handle) is not None:
            super().on_hci_acl_data_packet(packet)

    def on_link_acl_data(self, sender_address: hci.Address, transport: PhysicalTransport, data: bytes) -> None:
        if sender_address in self.le_connections:  # what was in the air when the connection ended is lost
            super().on_link_acl_data(sender_address, transport, data)
