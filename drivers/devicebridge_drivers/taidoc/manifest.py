"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, GattSpec, Kind, LinkKind, Manifest, Model, Rhythm, SerialSpec

from .codec import SERVICE

_TD42 = "glucometers-tech/glucometer-protocols, src/taidoc/td42xx.md; tidepool-org/uploader, glucoRxDriver.js"
_TAIDOC = "advmeds-service/advmeds-bluetooth-lib, measure/taidoc/decoder"
_ULTRON = "YentingChia-Ultron/Ultron-esp32BLE, gatt_client_myTest/main"
_H2SYNC = "markchuang56/iOS-Demo, h2SyncLib/BLE_VENDOR/FORA_MTI"
_CAPTURED = "fora6_connect, live protocol evidence: service, characteristic, and what a GD82 was asked and answered"

MANIFEST = Manifest(
    id="taidoc",
    title="TaiDoc and FORA meters: glucose, ketones, blood pressure, temperature, SpO2, weight",
    kinds=frozenset({Kind.GLUCOSE, Kind.BLOOD_PRESSURE, Kind.TEMPERATURE, Kind.PULSE_OXIMETRY, Kind.WEIGHT, Kind.LAB}),
    models=(
        Model(name="TD-42xx glucose (FORA 6, GD40, GlucoRx Nexus)", evidence=Evidence.OTHER_PROJECT, source=_TD42),
        Model(name="FORA 6 Connect (TD-4183)", link=LinkKind.GATT, evidence=Evidence.CAPTURE, source=_CAPTURED),
        Model(name="TD-31xx blood pressure (FORA P20, P30, P80)", evidence=Evidence.OTHER_PROJECT, source=_ULTRON),
        Model(name="TD-32xx glucose and blood pressure (FORA D40)", evidence=Evidence.OTHER_PROJECT, source=_H2SYNC),
        Model(name="TD-1xxx thermometers (FORA IR20, IR40, IR42)", evidence=Evidence.OTHER_PROJECT, source=_ULTRON),
        Model(name="TD-82xx oximeters, stored results", evidence=Evidence.OTHER_PROJECT, source=_TAIDOC),
        Model(name="TD-25xx scales (FORA W310)", evidence=Evidence.OTHER_PROJECT, source=_H2SYNC),
    ),
    links=(
        SerialSpec(baud=19_200),
        # The names are those that FORA's own app looks for (medical_ble_toolkit, FORA first-party protocol).
        GattSpec(services=(SERVICE,), name_prefixes=("FORA", "TAIDOC", "TD-", "TNG", "DIAMOND")),
    ),
    clock=DeviceClockKind.READABLE,
    rhythm=Rhythm(),  # a device that is off is silent
    has_memory=True,
)
