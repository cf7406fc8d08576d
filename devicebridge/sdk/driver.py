"""A driver: a manifest (data), its options, a codec and one session function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from .codec import Codec
from .outlet import Outlet
from .values import Kind


class Parity(StrEnum):
    NONE = "N"
    EVEN = "E"
    ODD = "O"
    MARK = "M"


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialSpec:
    """How to talk to the device over a serial line, and how to know its cable.

    usb_ids: (vendor, product) pairs that suggest this driver to `scan`; a suggestion, never an identity.
    """

    baud: int
    data_bits: int = 8
    parity: Parity = Parity.NONE
    stop_bits: int = 1
    usb_ids: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GattSpec:
    """How to know the device among advertisers, and whether it must be bonded before it is believed."""

    services: tuple[str, ...]
    name_prefixes: tuple[str, ...] = ()
    bond_required: bool = False


class DeviceClockKind(StrEnum):
    """NONE: sends no times. STAMPS: stamps readings. READABLE: its present time can be read as well."""

    NONE = "none"
    STAMPS = "stamps"
    READABLE = "readable"


class Evidence(StrEnum):
    """What stands behind the claim that a model works, strongest first."""

    CAPTURE = "capture"
    VENDOR_DOCUMENT = "vendor-document"
    STANDARD = "standard"
    OTHER_PROJECT = "other-project"


class LinkKind(StrEnum):
    SERIAL = "serial"
    GATT = "gatt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model this driver reads, and why we say so. `source` is a public document, capture or project.

    link: the one it has, or for which the evidence stands; None for all that the driver knows.
    """

    name: str
    evidence: Evidence
    source: str
    link: LinkKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often the device is heard when all is well.

    idle_timeout_s: an open link without a byte for this long is lost; None where silence is normal.
    session_timeout_s: a session that lasts longer is ended; None for devices that stay connected.
    silence_budget_s: one that is connected and not heard for this long is "silent", and somebody must look. Left out
        it is the idle time-out of a serial line; over Bluetooth LE, where devices sleep between measurements, and
        for lines where silence is normal, there is none, and the link is all the evidence.
    """

    idle_timeout_s: float | None = None
    session_timeout_s: float | None = None
    silence_budget_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a driver is, as data. `id` is also the folder (with underscores), the entry point and the simulator."""

    id: str
    title: str
    kinds: frozenset[Kind]
    models: tuple[Model, ...]
    links: tuple[SerialSpec | GattSpec, ...]
    clock: DeviceClockKind
    rhythm: Rhythm
    has_memory: bool = False

    @property
    def serial(self) -> SerialSpec | None:
        return next((link for link in self.links if isinstance(link, SerialSpec)), None)

    def serial_at(self, baud: int | None) -> SerialSpec | None:
        """The line settings that go with a speed, where the models differ; the first for any other speed."""
        lines = [link for link in self.links if isinstance(link, SerialSpec)]
        return next((line for line in lines if line.baud == baud), self.serial)

    @property
    def gatt(self) -> GattSpec | None:
        return next((link for link in self.links if isinstance(link, GattSpec)), None)


class Options(BaseModel):
    """Base of every driver's options: a frozen table in the config file in which a typo is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MemoryOptions(Options):
    """Base of the options of drivers whose devices keep records."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    first_download: Literal["recent", "all", "none"] = "recent"
    """On the first meeting with a device: its records of the last ten minutes by its own clock, all, or none. Where the
    clock does not tell, "recent" is the newest record alone, which is then held, without a time."""


O = TypeVar("O", bound=Options)  # noqa: E741


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver(Generic[O]):
    """session(link, outlet, options): reads the link (ByteLink or GattLink, as the manifest says) until it ends.
    Where the manifest has both kinds, the config's `port` or `address` chooses.

    codec(options, model, characteristic): a fresh codec. `model` is the device's own word for itself, where known,
    and chooses quirks; `characteristic` is a full UUID for GATT, None for serial.
    characteristics: the UUIDs `codec` understands, the first being the default; none without Bluetooth LE.
    streams: those of them whose values are pieces of one stream of bytes.
    """

    manifest: Manifest
    options: type[O]
    session: Callable[[Any, Outlet, O], Awaitable[None]]
    codec: Callable[[O, str | None, str | None], Codec]
    characteristics: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()

    @property
    def default_characteristic(self) -> str | None:
        """Whose values bytes are of which only the driver is known; None for those of a serial line."""
        return None if self.manifest.serial else next(iter(self.characteristics), None)
