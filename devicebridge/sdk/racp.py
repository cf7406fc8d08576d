"""Record Access Control Point (2A52): a device's stored records are counted and asked for, and never deleted.

Bluetooth SIG, Glucose Service 1.0.1 and Glucose Profile 1.0.1, Pulse Oximeter Service 1.0.1, and GATT Specification
Supplement, Record Access Control Point. A request is operation, operator, and for some operators a filter with its
operands; it is answered by an indication, after the records themselves have been notified.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import NoReturn

from .bluetooth import date_time, uuid16
from .codec import Frame, Noise, Why
from .gatt_device import Arrivals
from .links import GattLink, LinkLost, Loss
from .outlet import DeviceIdentity, Outlet

RACP = uuid16(0x2A52)

TIMEOUT_S = 30.0
"""After so long without a value a procedure has failed: the time-out of ATT, which the profiles take for theirs."""

VALUES_MAX = 10_000
"""What one procedure may give: no device is known to keep more than 2,000 records, each of two values at most."""

COUNT_TIMEOUT_S = 5.0
"""A count is only a check; a device that does not give it is read without."""


_SERIAL, _UNNAMED, _TAKEN_OVER = "serial", "records", "taken-over"


class Operation(StrEnum):
    """In the order of their codes, from 1 on."""

    REPORT = "report-stored-records"
    DELETE = "delete-stored-records"
    ABORT = "abort-operation"
    COUNT = "report-number-of-stored-records"
    COUNT_RESPONSE = "number-of-stored-records-response"
    RESPONSE = "response-code"


class Operator(StrEnum):
    """In the order of their codes, from 0 on."""

    NULL = "null"
    ALL = "all-records"
    UP_TO = "less-than-or-equal"
    FROM = "greater-than-or-equal"
    RANGE = "within-range"
    FIRST = "first-record"
    LAST = "last-record"


class Filter(StrEnum):
    """In the order of their codes, from 1 on."""

    SEQUENCE = "sequence-number"
    TIME = "user-facing-time"


class Result(StrEnum):
    """In the order of their codes, from 1 on; RESERVED for those without a meaning yet."""

    SUCCESS = "success"
    OPERATION_NOT_SUPPORTED = "op-code-not-supported"
    INVALID_OPERATOR = "invalid-operator"
    OPERATOR_NOT_SUPPORTED = "operator-not-supported"
    INVALID_OPERAND = "invalid-operand"
    NO_RECORDS = "no-records-found"
    ABORT_UNSUCCESSFUL = "abort-unsuccessful"
    NOT_COMPLETED = "procedure-not-completed"
    OPERAND_NOT_SUPPORTED = "operand-not-supported"
    RESERVED = "reserved"


_OPERATIONS = dict(enumerate(Operation, 1))
_OPERATORS = dict(enumerate(Operator))
_FILTERS = dict(enumerate(Filter, 1))
_RESULTS = dict(enumerate(list(Result)[:-1], 1))
_OPERANDS = {Operator.UP_TO: 1, Operator.FROM: 1, Operator.RANGE: 2}
_OPERAND_SIZE = {Filter.SEQUENCE: 2, Filter.TIME: 7}
_COUNT_SIZES = (1, 2, 4)
"""Two bytes for glucose meters; the width is each service's own."""

ALL = bytes([1])
"""The scope of a request: operator, filter, operands."""

_ABORT = bytes([3, 0])


def from_sequence(number: int) -> bytes:
    """The scope of the records from this one on."""
    return bytes([3, 1]) + number.to_bytes(2, "little")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Frame):
    """What a host asks. operands: sequence numbers, or times; None where a time is none."""

    operation: Operation
    operator: Operator
    filter: Filter | None
    operands: tuple[int | datetime | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Count(Frame):
    """How many records a request would give."""

    operation: Operation
    records: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Response(Frame):
    """How a request ended. request: None where its code has no meaning."""

    operation: Operation
    request: Operation | None
    request_code: int
    result: Result
    result_code: int


def decode(data: bytes) -> Frame | Noise:
    """One value of the control point, in either direction."""
    if len(data) < 2:
        return Noise(data, Why.TOO_SHORT)
    operation, operator = _OPERATIONS.get(data[0]), _OPERATORS.get(data[1])
    if operation is None or operator is None:
        return Noise(data, Why.BAD_FIELD)
    if operation is Operation.COUNT_RESPONSE:
        return _count(data, operation, operator)
    if operation is Operation.RESPONSE:
        return _response(data, operation, operator)
    return _request(data, operation, operator)


def _request(data: bytes, operation: Operation, operator: Operator) -> Frame | Noise:
    if (operation is Operation.ABORT) is not (operator is Operator.NULL):
        return Noise(data, Why.BAD_FIELD)
    wanted = _OPERANDS.get(operator, 0)
    kind = _FILTERS.get(data[2]) if wanted and len(data) > 2 else None
    if wanted and kind is None:
        return Noise(data, Why.BAD_FIELD if len(data) > 2 else Why.TOO_SHORT)
    size = _OPERAND_SIZE[kind] if kind else 0
    if why := _misfit(data, 2 + (1 + wanted * size if wanted else 0)):
        return Noise(data, why)
    pieces = [data[3 + n * size : 3 + (n + 1) * size] for n in range(wanted)]
    operands = tuple(int.from_bytes(p, "little") if kind is Filter.SEQUENCE else date_time(p) for p in pieces)
    return Request(raw=data, operation=operation, operator=operator, filter=kind, operands=operands)


def _count(data: bytes, operation: Operation, operator: Operator) -> Frame | Noise:
    size = len(data) - 2
    if size not in _COUNT_SIZES:
        return Noise(data, Why.TOO_LONG if size else Why.TOO_SHORT)
    if operator is not Operator.NULL:
        return Noise(data, Why.BAD_FIELD)
    return Count(raw=data, operation=operation, records=int.from_bytes(data[2:], "little"))


def _response(data: bytes, operation: Operation, operator: Operator) -> Frame | Noise:
    if why := _misfit(data, 4):
        return Noise(data, why)
    if operator is not Operator.NULL:
        return Noise(data, Why.BAD_FIELD)
    return Response(
        raw=data,
        operation=operation,
        request=_OPERATIONS.get(data[2]),
        request_code=data[2],
        result=_RESULTS.get(data[3], Result.RESERVED),
        result_code=data[3],
    )


def _misfit(data: bytes, length: int) -> Why | None:
    if len(data) == length:
        return None
    return Why.TOO_SHORT if len(data) < length else Why.TOO_LONG


class State(Enum):
    """Of a RecordAccess. FAILED: the device did not answer; nothing more may be asked on this connection."""

    IDLE = auto()
    COUNTING = auto()
    REPORTING = auto()
    ABORTING = auto()
    FAILED = auto()


class RecordAccess:
    """One procedure after another, over a link on which 2A52 is subscribed to.

    take: given each value of any other characteristic, in order, whenever it comes; what it awaits does not count as
    the device's silence.
    An answer that does not belong to the procedure under way is nobody's. A request that is refused, as when the
    device still works on an earlier one (ATT 0x80), is made once more after an abort; if it is refused then too
    (0x81, not subscribed), the refusal passes, and the core connects anew. Raises LinkLost.
    """

    def __init__(
        self,
        link: GattLink,
        arrivals: Arrivals,
        outlet: Outlet,
        take: Callable[[str, bytes], Awaitable[None]],
        *,
        timeout_s: float = TIMEOUT_S,
        count_timeout_s: float = COUNT_TIMEOUT_S,
    ) -> None:
        self._link = link
        self._arrivals = arrivals
        self._outlet = outlet
        self._take = take
        self._timeout_s = timeout_s
        self._count_timeout_s = count_timeout_s
        self._values = 0  # of the procedure under way
        self.state = State.IDLE

    async def report(self, scope: bytes = ALL) -> Result:
        """Has the records sent; returns after the device has said that these were all, or why there are none."""
        self._values = 0
        await self._request(bytes([1]) + scope)
        self.state = State.REPORTING
        answer = await self._answer(Operation.REPORT, self._timeout_s)
        if isinstance(answer, Response):
            self.state = State.IDLE
            return answer.result
        await self.abort()
        raise LinkLost(Loss.TIMEOUT)

    async def count(self, scope: bytes = ALL) -> int | None:
        """How many records there are; None where the device does not say."""
        try:
            await self._link.write(RACP, bytes([4]) + scope)
        except LinkLost:
            return None
        self.state = State.COUNTING
        answer = await self._answer(Operation.COUNT, self._count_timeout_s)
        self.state = State.IDLE
        return answer.records if isinstance(answer, Count) else None

    async def abort(self) -> None:
        """Ends what the device is doing; whatever it says of it, it is done then."""
        await self._link.write(RACP, _ABORT)
        self.state = State.ABORTING
        if await self._answer(Operation.ABORT, self._timeout_s) is None:
            self.state = State.FAILED
            raise LinkLost(Loss.TIMEOUT)
        self.state = State.IDLE

    async def settle(self, quiet_s: float) -> None:
        """Takes what still comes, until it is quiet."""
        while (arrived := await self._arrivals.next(quiet_s)) is not None:
            await self._hear(*arrived)

    async def rest(self) -> NoReturn:
        """Takes what comes, until the link ends."""
        while True:
            await self.settle(self._timeout_s)

    async def _request(self, request: bytes) -> None:
        if self.state is State.FAILED:
            raise LinkLost(Loss.TIMEOUT)
        try:
            await self._link.write(RACP, request)
        except LinkLost:
            await self.abort()
            await self._link.write(RACP, request)

    async def _answer(self, to: Operation, timeout_s: float) -> Count | Response | None:
        while (arrived := await self._arrivals.next(timeout_s)) is not None:
            answer = await self._hear(*arrived)
            is_count = isinstance(answer, Count) and to is Operation.COUNT
            if is_count or (isinstance(answer, Response) and answer.request is to):
                return answer
        return None

    async def _hear(self, characteristic: str, data: bytes) -> Count | Response | None:
        if characteristic != RACP:
            self._values += self.state is State.REPORTING
            if self._values > VALUES_MAX:
                raise LinkLost(Loss.FLOODED)
            await self._take(characteristic, data)
            return None
        answer = decode(data)
        if isinstance(answer, Noise):
            self._outlet.note(answer)
        return answer if isinstance(answer, Count | Response) else None


async def memory_key(outlet: Outlet, identity: DeviceIdentity, part: str = "") -> str:
    """Under which name a device's memory, or a part of it, is remembered: 64 printable characters at most.

    A number that cannot be read is the one that was read last; of what was read before there was any the first one
    takes over.
    """
    serial = "".join(c for c in identity.serial or "" if c.isprintable())[: 64 - len(part)]
    known, unnamed = await outlet.recall(_SERIAL), _UNNAMED + part
    if not serial:
        return f"{known}{part}" if known is not None else unnamed
    key = serial + part
    read = await outlet.recall(unnamed)
    if read not in (None, _TAKEN_OVER) and await outlet.recall(key) is None:
        await outlet.remember(key, read)
        await outlet.remember(unnamed, _TAKEN_OVER)
    if known != serial:
        await outlet.remember(_SERIAL, serial)
    return key
