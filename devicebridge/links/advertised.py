"""What an advertisement says beside name and services. bleak hands this on as each platform has it, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from bleak.backends.scanner import AdvertisementData

_LIMITED_DISCOVERABLE = 0x01
_SUBTYPES_BY_TOP_BITS = {0b11: "fixed", 0b01: "resolvable", 0b00: "non-resolvable"}


class AddressKind(StrEnum):
    """What an address is worth (Bluetooth Core 5.4, vol 6 part B, 1.3).

    FIXED: public or static. RESOLVABLE: changes every quarter of an hour, to be recognised with a key that a bond
    gives. NON_RESOLVABLE: changes and cannot be recognised. UNKNOWN: the platform does not say.
    """

    FIXED = "fixed"
    RESOLVABLE = "resolvable"
    NON_RESOLVABLE = "non-resolvable"
    UNKNOWN = "unknown"


def address_kind(address: str, data: AdvertisementData) -> AddressKind:
    is_random = _is_random(data)
    if is_random is None:
        return AddressKind.UNKNOWN
    if not is_random:
        return AddressKind.FIXED
    return AddressKind(_SUBTYPES_BY_TOP_BITS.get(int(address[:2], 16) >> 6, "unknown"))


def pairing_mode(data: AdvertisementData) -> bool | None:
    """True where the device says "limited discoverable", as medical ones do in pairing mode; None where it cannot be
    told (Core Specification Supplement 11, A 1.3)."""
    flags = _flags(data)
    return None if flags is None else bool(flags & _LIMITED_DISCOVERABLE)


def _is_random(data: AdvertisementData) -> bool | None:
    properties = _bluez(data)
    if "AddressType" in properties:
        return bool(properties["AddressType"] == "random")
    kind = getattr(_windows(data), "bluetooth_address_type", None)  # BluetoothAddressType: public 0, random 1
    return None if kind not in (0, 1) else bool(kind)


def _flags(data: AdvertisementData) -> int | None:
    flags = _bluez(data).get("AdvertisingFlags")
    if flags:
        return int(flags[0])
    flags = getattr(getattr(_windows(data), "advertisement", None), "flags", None)
    return None if flags is None else int(flags)


def _bluez(data: AdvertisementData) -> Mapping[str, Any]:
    """org.bluez.Device1's properties, beside the object's path."""
    last = data.platform_data[-1] if data.platform_data else None
    return last if isinstance(last, Mapping) else {}


def _windows(data: AdvertisementData) -> Any:
    """BluetoothLEAdvertisementReceivedEventArgs of the advertisement itself, not of the scan response."""
    last = data.platform_data[-1] if data.platform_data else None
    return getattr(last, "adv", None)
