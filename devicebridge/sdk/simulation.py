"""What a simulator is: the other end of the wire, written from the manual with an encoder of its own.

A simulator is data plus one coroutine a scenario. It never sleeps: it asks its port to `pause`, so that tests run at
once and a demo at the device's own pace.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Flag, auto
from typing import Protocol

from .driver import SerialSpec
from .values import Absent, Kind, Name, Origin, Status
from .wave import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A reading that a scenario must give, in the simulator's own words: normalized values as text.

    `values` holds the value as it must be published, digits included, a coded text, or the reason for its absence.
    """

    kind: Kind
    values: Mapping[Name, Decimal | Absent | str]
    status: frozenset[Status] = frozenset()
    device_time: datetime | None = None
    origin: Origin = Origin.LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What there is to measure in a simulated patient at one moment. The devices of a room share it.

    local_time: the room's wall clock, naive, for devices that stamp their readings.
    """

    systolic_mmhg: int
    diastolic_mmhg: int
    mean_mmhg: int
    pulse_per_min: int
    spo2_percent: int
    temperature_cel: Decimal
    local_time: datetime


class SerialPort(Protocol):
    """The device's end of a serial line."""

    async def read(self) -> bytes:
        """What the host sent, at least one byte."""
        ...

    async def write(self, data: bytes, /) -> None: ...

    async def pause(self, seconds: float, /) -> None:
        """The device does nothing for so long, by the simulation's clock."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialScenario:
    """run: plays the device until it has no more to say, then returns; the host hangs up or plays it again.

    rows: of a device with EKG leads, its samples from the first that is sent on; rows of None where the scenario loses
        them on the way.
    faulty: the scenario breaks the protocol on purpose; `expected` is what must still come through.
    """

    title: str
    run: Callable[[SerialPort], Awaitable[None]]
    expected: tuple[Expected, ...] = ()
    rows: tuple[Row, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    faulty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialSimulator:
    """measure: the scenario in which this device is put to a patient once, as a medical assistant would.

    rest: what it does meanwhile, a second or so at a time; None for a device that is silent then.
    """

    id: str
    line: SerialSpec
    scenarios: Mapping[str, SerialScenario]
    measure: Callable[[Vitals], SerialScenario] | None = None
    rest: SerialScenario | None = None


class Access(Flag):
    READ = auto()
    WRITE = auto()
    WRITE_WITHOUT_RESPONSE = auto()
    NOTIFY = auto()
    INDICATE = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Characteristic:
    """One characteristic of a simulated peripheral.

    value: what a read gives, or a function that is asked at each read.
    written: called with each value the host writes; raises AttError to refuse it.
    encrypted, authenticated: the security a host must have first.
    """

    uuid: str
    access: Access
    value: bytes | Callable[[], bytes] = b""
    written: Callable[[bytes], Awaitable[None]] | None = None
    encrypted: bool = False
    authenticated: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    uuid: str
    characteristics: tuple[Characteristic, ...]


class AttError(Exception):
    """An ATT error code for a simulated peripheral to answer with."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ATT error 0x{code:02x}")
        self.code = code


class GattPort(Protocol):
    """The peripheral's side of one connection."""

    async def subscribed(self, characteristic: str, /) -> None:
        """Waits until the host has enabled notifications or indications."""
        ...

    async def notify(self, characteristic: str, value: bytes, /) -> None: ...

    async def indicate(self, characteristic: str, value: bytes, /) -> None:
        """Returns after the host's confirmation."""
        ...

    async def pause(self, seconds: float, /) -> None: ...

    async def disconnect(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GattScenario:
    """services: a fresh attribute table for each play. run: plays one connection; then the peripheral hangs up.

    rows: as for SerialScenario.
    """

    title: str
    services: Callable[[], tuple[Service, ...]]
    run: Callable[[GattPort], Awaitable[None]]
    expected: tuple[Expected, ...] = ()
    rows: tuple[Row, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    faulty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GattSimulator:
    """advertised: the 16-bit or 128-bit service UUIDs, full form, in the advertisement beside the name.

    measure: as for SerialSimulator.
    """

    id: str
    name: str
    advertised: tuple[str, ...]
    scenarios: Mapping[str, GattScenario]
    measure: Callable[[Vitals], GattScenario] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DualSimulator:
    """A device that is met on a serial line or over Bluetooth LE. The names of its scenarios are not shared."""

    serial: SerialSimulator
    gatt: GattSimulator

    @property
    def id(self) -> str:
        return self.serial.id

    @property
    def scenarios(self) -> Mapping[str, SerialScenario | GattScenario]:
        return {**self.serial.scenarios, **self.gatt.scenarios}


Simulator = SerialSimulator | GattSimulator | DualSimulator


def links(simulator: Simulator) -> tuple[SerialSimulator | GattSimulator, ...]:
    """The simulator of each link that the device has."""
    return (simulator.serial, simulator.gatt) if isinstance(simulator, DualSimulator) else (simulator,)
