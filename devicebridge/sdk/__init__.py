"""All that a driver or a simulator may import from devicebridge."""

from .codec import Codec, Frame, Noise, Why
from .driver import (
    DeviceClockKind,
    Driver,
    Evidence,
    GattSpec,
    Manifest,
    MemoryOptions,
    Model,
    Options,
    Parity,
    Rhythm,
    SerialSpec,
)
from .links import ByteLink, GattLink, LinkLost, Loss, UnexpectedDevice
from .outlet import Battery, DeviceClock, DeviceIdentity, Event, InProgress, Outlet, Scan
from .values import Absent, Comparator, Context, Kind, Name, Observation, Origin, Status, Unit, Value
from .wave import Lead, Strip, Wave, WaveFormat

__all__ = [
    "Absent",
    "Battery",
    "ByteLink",
    "Codec",
    "Comparator",
    "Context",
    "DeviceClock",
    "DeviceClockKind",
    "DeviceIdentity",
    "Driver",
    "Event",
    "Evidence",
    "Frame",
    "GattLink",
    "GattSpec",
    "InProgress",
    "Kind",
    "Lead",
    "LinkLost",
    "Loss",
    "Manifest",
    "MemoryOptions",
    "Model",
    "Name",
    "Noise",
    "Observation",
    "Options",
    "Origin",
    "Outlet",
    "Parity",
    "Rhythm",
    "Scan",
    "SerialSpec",
    "Status",
    "Strip",
    "UnexpectedDevice",
    "Unit",
    "Value",
    "Wave",
    "WaveFormat",
    "Why",
]
