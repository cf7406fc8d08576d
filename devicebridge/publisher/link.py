"""One connection to one broker: a paho client that is used once and thrown away, so that the outbox is the only queue.

DNS, TCP, TLS and all traffic happen on paho's network thread. Whatever it has to say is put into a deque, with one
wake-up of the event loop per burst; when the thread ends, for whatever cause, that is the last thing said.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ..config import BrokerConfig
from . import tls
from .reasons import (
    CLIENT_FAILED,
    CONNACK,
    CONNECT_TIMEOUT,
    DISCONNECT,
    HUNG_UP,
    LOST,
    NO_QOS_1,
    SILENT,
    WRONG_VERSION,
    Ending,
    Pause,
    Reason,
)

PASSWORD_BYTES = 4096
"""No password file is longer; it may be the wrong file."""

RECEIVE_MAXIMUM = 65535
"""Where the broker names none: MQTT 5.0 section 3.2.2.3.3."""

CONTENT_TYPE = "application/json"

_PROTOCOL = {"5": MQTTProtocolVersion.MQTTv5, "3.1.1": MQTTProtocolVersion.MQTTv311}
_KEEP_ALIVE_TIMEOUT = 0x8D
_PROTOCOL_ERROR = 0x82


@dataclass(frozen=True, slots=True)
class Will:
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the CONNACK asks of us."""

    receive_maximum: int = RECEIVE_MAXIMUM
    packet_bytes_max: int | None = None
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Ack:
    mid: int
    code: int


class Unready(Exception):
    """The connection cannot even be tried: a file is missing or unusable."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(str(reason))
        self.ending = Ending(reason, Pause.SLOW)


class _Client(mqtt.Client):
    """Paho's own thread runs `loop_forever`; this one connects once and says when it is over."""

    def __init__(
        self, ended: Callable[[BaseException | None], None], client_id: str, protocol: MQTTProtocolVersion
    ) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=protocol,
            clean_session=None if protocol is MQTTProtocolVersion.MQTTv5 else True,
            reconnect_on_failure=False,
        )
        self._ended = ended

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        try:
            code = super().loop_forever(timeout, retry_first_connection=False)
        except Exception as error:  # noqa: BLE001  a dead thread leaves is_connected() True: nothing may end it unsaid
            self._ended(error)
            return MQTTErrorCode.MQTT_ERR_UNKNOWN
        self._ended(None)
        return code


class Link:
    def __init__(
        self, config: BrokerConfig, endpoint: tuple[str, int], client_id: str, will: Will, wake: Callable[[], None]
    ) -> None:
        self._config = config
        self._endpoint = endpoint
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._acks: deque[Ack] = deque()
        self._waking = False
        self._socket: socket.socket | None = None
        self._why: Ending | None = None
        self._dropped = False
        self.is_v5 = config.protocol == "5"
        self.accepted: Accepted | None = None
        self.ended: Ending | None = None
        self._client = self._make(client_id, will)

    async def start(self) -> None:
        """Begins to connect; `accepted` or `ended` will tell. Raises Unready."""
        if self._config.tls is not None:
            try:
                self._client.tls_set_context(await asyncio.to_thread(tls.context, self._config.tls))
            except OSError:
                raise Unready(Reason.TLS_FILES) from None
        if self._config.username is not None:
            self._client.username_pw_set(self._config.username, password(self._config.password_file))
        host, port = self._endpoint
        # Paho gives up after twice the time it is told; this way the silence is noticed within the one configured.
        keepalive_s = max(1, self._config.keepalive_s // 2)
        clean_start = True if self.is_v5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY
        self._client.connect_async(host, port, keepalive_s, clean_start=clean_start)
        self._client.loop_start()

    @property
    def is_open(self) -> bool:
        """A TCP connection stands."""
        return self._socket is not None

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, properties: Properties | None = None, qos: int = 1
    ) -> int | None:
        """The packet's number; None when the connection has just gone. Raises ValueError for an impossible topic."""
        sent = self._client.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        return sent.mid if sent.rc is MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def acks(self) -> Iterator[Ack]:
        while self._acks:
            yield self._acks.popleft()

    def drop(self, why: Ending) -> None:
        """Ends the connection now, without a word to the broker."""
        self._why = self._why or why
        self._dropped = True
        if self._socket is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def say_goodbye(self) -> None:
        """A clean DISCONNECT, after which the broker does not publish the will."""
        self._client.disconnect()

    # Below, everything but _woken runs in the network thread.

    def _make(self, client_id: str, will: Will) -> _Client:
        client = _Client(self._on_end, client_id, _PROTOCOL[self._config.protocol])
        client.connect_timeout = self._config.connect_timeout_s
        client.max_inflight_messages_set(0)  # our own window counts
        client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_socket_open = self._on_socket_open
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        return client

    def _on_socket_open(self, client: mqtt.Client, userdata: object, opened: mqtt.SocketLike) -> None:
        assert isinstance(opened, socket.socket)
        if self._dropped:
            opened.close()
            raise ConnectionAbortedError
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = opened

    def _on_connect(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if code.is_failure:
            self._why = CONNACK.get(code.value, CONNACK[0x80])
            return
        if getattr(properties, "MaximumQoS", 1) < 1:
            self.drop(NO_QOS_1)
            return
        self.accepted = Accepted(
            getattr(properties, "ReceiveMaximum", RECEIVE_MAXIMUM),
            getattr(properties, "MaximumPacketSize", None),
            bool(getattr(properties, "RetainAvailable", True)),
        )
        self._post()

    def _on_publish(
        self, client: mqtt.Client, userdata: object, mid: int, code: ReasonCode, properties: Properties
    ) -> None:
        self._acks.append(Ack(mid, code.value))
        self._post()

    def _on_disconnect(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.DisconnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._why is None:
            self._why = self._explain(code.value, flags.is_disconnect_packet_from_server)

    def _explain(self, code: int, from_server: bool) -> Ending:
        if from_server:
            return DISCONNECT.get(code, DISCONNECT[0x80])
        if self.accepted is None:
            # Paho tells a 3.1.1 broker's "unacceptable protocol version" in no other way.
            return WRONG_VERSION if code == _PROTOCOL_ERROR and not self.is_v5 else HUNG_UP
        return SILENT if code == _KEEP_ALIVE_TIMEOUT else LOST

    def _on_end(self, error: BaseException | None) -> None:
        if error is not None and self._why is None:
            self._why = failure(error)
        self.ended = self._why or LOST
        self._socket = None
        self._post()

    def _post(self) -> None:
        if not self._waking:
            self._waking = True
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._woken)

    def _woken(self) -> None:
        self._waking = False
        self._wake()


def properties_of(reading_id: str | None) -> Properties:
    made = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    made.ContentType = CONTENT_TYPE
    if reading_id is not None:
        made.UserProperty = ("id", reading_id)
    return made


def packet_bytes(topic: str, payload: bytes, properties: Properties | None) -> int:
    """The whole PUBLISH packet at QoS 1: MQTT 5.0 section 3.3."""
    packed = 0 if properties is None else len(properties.pack())  # type: ignore[no-untyped-call]
    remaining = 2 + len(topic.encode()) + 2 + packed + len(payload)
    length_bytes = max(1, (remaining.bit_length() + 6) // 7)
    return 1 + length_bytes + remaining


def password(path: Path | None) -> str | None:
    """What the file holds, without its line end or an editor's byte order mark. Raises Unready."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return file.read(PASSWORD_BYTES).decode("utf-8-sig").strip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise Unready(Reason.PASSWORD_FILE) from None


def failure(error: BaseException) -> Ending:
    """What an error on the way to the broker means."""
    match error:
        case ssl.SSLError():
            return Ending(tls.classify(error), Pause.SLOW)
        case socket.gaierror():
            return Ending(Reason.NAME_UNKNOWN)
        case TimeoutError():
            return CONNECT_TIMEOUT
        case ConnectionResetError():
            return HUNG_UP
        case OSError():
            return Ending(Reason.UNREACHABLE)
    return CLIENT_FAILED
