"""A scripted MQTT broker: answers whatever it is told to, and remembers what it was sent.

Packets after MQTT 5.0 (OASIS Standard, 7 March 2019) chapters 2 and 3, and MQTT 3.1.1 for protocol level 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 12, 13, 14

# Section 2.2.2.2: identifier to type.
_BYTE = {0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A}
_TWO = {0x13, 0x21, 0x22, 0x23}
_FOUR = {0x02, 0x11, 0x18, 0x27}
_TEXT = {0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F}
USER_PROPERTY = 0x26
CONTENT_TYPE = 0x03


def receive_maximum(value: int) -> bytes:
    return b"\x21" + value.to_bytes(2, "big")


def maximum_packet_size(value: int) -> bytes:
    return b"\x27" + value.to_bytes(4, "big")


def maximum_qos(value: int) -> bytes:
    return bytes([0x24, value])


def retain_available(value: int) -> bytes:
    return bytes([0x25, value])


@dataclass(frozen=True)
class Accept:
    """The answer to CONNECT."""

    code: int = 0
    properties: bytes = b""


@dataclass(frozen=True)
class Ack:
    """The answer to PUBLISH."""

    code: int = 0


class Withhold:
    """No answer."""


class Close:
    """The connection ends without a word."""


@dataclass(frozen=True)
class Disconnect:
    code: int


Reply = Accept | Ack | Withhold | Close | Disconnect


@dataclass
class Connected:
    level: int
    flags: int
    keepalive_s: int
    client_id: str
    will_topic: str | None = None
    will_payload: bytes | None = None
    username: str | None = None
    password: str | None = None
    clean_end: bool = False


@dataclass
class Published:
    connection: int
    """Counts from 1."""
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    mid: int
    size: int
    properties: dict[int, object] = field(default_factory=dict)


class Broker:
    """`on_connect` and `on_publish` may be replaced at any time."""

    def __init__(self) -> None:
        self.connections: list[Connected] = []
        self.published: list[Published] = []
        self.kinds: set[int] = set()
        """Of packets that came."""
        self.on_connect: Callable[[Connected], Reply] = lambda connected: Accept()
        self.on_publish: Callable[[Published], Reply] = lambda published: Ack()
        self.attempts = 0
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._levels: dict[asyncio.StreamWriter, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def readings(self) -> list[Published]:
        return [p for p in self.published if not p.retain]

    def ack(self, mid: int, code: int = 0) -> None:
        """Answers late, over the present connection."""
        self._reply(self._writers[-1], Ack(code), mid)

    def disconnect(self, code: int) -> None:
        self._reply(self._writers[-1], Disconnect(code), 0)

    def push(self, topic: str, payload: bytes, *, qos: int) -> None:
        """A message that nobody asked for."""
        name = topic.encode()
        body = len(name).to_bytes(2, "big") + name + (b"\x00\x01" if qos else b"") + b"\x00" + payload
        self._writers[-1].write(bytes([PUBLISH << 4 | qos << 1]) + _length(len(body)) + body)

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    @asynccontextmanager
    async def listening(self, ssl: object = None) -> AsyncIterator[Broker]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=ssl)  # type: ignore[arg-type]
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.hang_up()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.attempts += 1
        self._writers.append(writer)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await self._talk(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected: Connected | None = None
        while not writer.is_closing():
            kind, flags, body = await _read_packet(reader)
            self.kinds.add(kind)
            if kind == CONNECT:
                connected = _connect(body)
                self.connections.append(connected)
                self._levels[writer] = connected.level
                self._reply(writer, self.on_connect(connected), 0)
            elif kind == PUBLISH:
                published = _publish(flags, body, len(self.connections), self._levels[writer])
                self.published.append(published)
                self._reply(writer, self.on_publish(published), published.mid)
            elif kind == PINGREQ:
                writer.write(_packet(PINGRESP, b""))
            elif kind == DISCONNECT and connected is not None:
                connected.clean_end = True
                return

    def _reply(self, writer: asyncio.StreamWriter, reply: Reply, mid: int) -> None:
        v5 = self._levels.get(writer) == 5
        match reply:
            case Accept(code, properties):
                tail = bytes([len(properties)]) + properties if v5 else b""
                writer.write(_packet(CONNACK, bytes([0, code]) + tail))
                if code:
                    writer.close()
            case Ack(code):
                writer.write(_packet(PUBACK, mid.to_bytes(2, "big") + (bytes([code, 0]) if v5 else b"")))
            case Disconnect(code):
                writer.write(_packet(DISCONNECT, bytes([code, 0])))
                writer.close()
            case Close():
                writer.transport.abort()
            case Withhold():
                pass


def _packet(kind: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([kind << 4, len(body)]) + body


def _length(number: int) -> bytes:
    """A variable byte integer: MQTT 5.0, section 1.5.5."""
    found = bytearray()
    while number >= 128:
        found.append(number % 128 | 128)
        number //= 128
    return bytes([*found, number])


async def _read_packet(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    first = (await reader.readexactly(1))[0]
    length, shift = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            break
    return first >> 4, first & 0x0F, await reader.readexactly(length)


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        taken = self._data[self.at : self.at + count]
        assert len(taken) == count
        self.at += count
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        return self.binary().decode()

    def rest(self) -> bytes:
        return self.take(len(self._data) - self.at)

    def properties(self) -> dict[int, object]:
        length = self.number(1)
        assert length < 128
        end = self.at + length
        found: dict[int, object] = {}
        while self.at < end:
            identifier = self.number(1)
            found[identifier] = self._property(identifier)
        return found

    def _property(self, identifier: int) -> object:
        if identifier in _TEXT:
            return self.text()
        if identifier == USER_PROPERTY:
            return (self.text(), self.text())
        return self.number(1 if identifier in _BYTE else 2 if identifier in _TWO else 4)


def _connect(data: bytes) -> Connected:
    body = _Body(data)
    assert body.text() == "MQTT"
    level, flags, keepalive_s = body.number(1), body.number(1), body.number(2)
    if level == 5:
        body.properties()
    connected = Connected(level, flags, keepalive_s, body.text())
    if flags & 0x04:
        if level == 5:
            body.properties()
        connected.will_topic, connected.will_payload = body.text(), body.binary()
    connected.username = body.text() if flags & 0x80 else None
    connected.password = body.text() if flags & 0x40 else None
    return connected


def _publish(flags: int, data: bytes, connection: int, level: int) -> Published:
    body = _Body(data)
    topic, qos = body.text(), flags >> 1 & 3
    mid = body.number(2) if qos else 0
    properties = body.properties() if level == 5 else {}
    size = 1 + max(1, (len(data).bit_length() + 6) // 7) + len(data)
    return Published(connection, topic, body.rest(), qos, bool(flags & 1), bool(flags & 8), mid, size, properties)


def in_turn(*replies: Reply, then: Reply | None = None) -> Callable[[object], Reply]:
    """Each of the replies once, and then `then`, for ever."""
    turn: Iterator[Reply] = iter(replies)

    def answer(_: object) -> Reply:
        return next(turn, then or Ack())

    return answer
