"""The bleak scanner backend: a Central's advertisements."""

from __future__ import annotations

from typing import Any

from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bumble.core import UUID, AdvertisingData
from bumble.device import Advertisement

from .central import Central
from .devices import full_uuid


class Scanner(BaseBleakScanner):
    """A bleak scanner backend. Several share the one scan of their central."""

    def __init__(
        self,
        detection_callback: Any,
        service_uuids: list[str] | None,
        scanning_mode: str,
        *,
        central: Central,
        **_: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._central = central
        self._heard = self._on_advertisement  # one bound method, so that it is found again

    async def start(self) -> None:
        self.seen_devices = {}
        await self._central.scan(self._heard)

    async def stop(self) -> None:
        await self._central.stop_scan(self._heard)

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        data = advertisement_data(advertisement)
        if self.is_allowed_uuid(data.service_uuids):
            heard_from = self._central.identity(advertisement.address)
            address = heard_from.to_string(with_type_qualifier=False)
            device: BLEDevice = self.create_or_update_device(address, address, data.local_name, heard_from, data)
            self.call_detection_callbacks(device, data)


_NAMES = (AdvertisingData.Type.COMPLETE_LOCAL_NAME, AdvertisingData.Type.SHORTENED_LOCAL_NAME)
_SERVICES = {
    AdvertisingData.Type.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS: 2,
    AdvertisingData.Type.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS: 2,
    AdvertisingData.Type.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS: 16,
    AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS: 16,
}


def advertisement_data(advertisement: Advertisement) -> AdvertisementData:
    name: str | None = None
    flags = b""
    services: dict[str, None] = {}
    for kind, data in advertisement.data.ad_structures:
        if kind in _NAMES:
            name = data.decode(errors="replace")
        if kind == AdvertisingData.Type.FLAGS:
            flags = data
        if size := _SERVICES.get(AdvertisingData.Type(kind)):
            for start in range(0, len(data) - size + 1, size):
                services[full_uuid(UUID.from_bytes(data[start : start + size]))] = None
    return AdvertisementData(
        local_name=name,
        manufacturer_data={},
        service_data={},
        service_uuids=list(services),
        tx_power=None,
        rssi=advertisement.rssi,
        platform_data=("", {"AddressType": "random", "AdvertisingFlags": flags}),  # as BlueZ gives them
    )
