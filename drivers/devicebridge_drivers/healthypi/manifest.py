"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_MAKER = "github.com/Protocentral/"

MANIFEST = Manifest(
    id="healthypi",
    title="ProtoCentral HealthyPi 4 and 5, ADS1292R and ADS1293 boards (OpenView packets)",
    kinds=frozenset({Kind.ECG, Kind.HEART_RATE, Kind.PULSE_OXIMETRY, Kind.RESPIRATION_RATE, Kind.TEMPERATURE}),
    models=(
        Model(
            name="HealthyPi 5 (EKG, SpO2, temperature)",
            evidence=Evidence.VENDOR_DOCUMENT,
            source=f"{_MAKER}protocentral_healthypi_5_firmware, src/HPIOpenView.cpp; {_MAKER}"
            "protocentral_healthypi5_zephyr, app/src/data_module.c",
        ),
        Model(
            name="HealthyPi 4 (EKG, heart and respiration rate, SpO2, temperature)",
            evidence=Evidence.VENDOR_DOCUMENT,
            source=f"{_MAKER}protocentral_healthypi_v4, firmware/Healthypiv4_Arduino/Healthypiv4_Arduino.ino",
        ),
        Model(
            name="ADS1292R shield and breakout (EKG, heart rate)",
            evidence=Evidence.VENDOR_DOCUMENT,
            source=f"{_MAKER}protocentral-ads1292r-arduino, examples/02.OpenView/02.OpenView.ino",
        ),
        Model(
            name="ADS1293 shield and breakout (EKG)",
            evidence=Evidence.VENDOR_DOCUMENT,
            source=f"{_MAKER}protocentral-ads1293-arduino, examples/03-5-lead-ECG-openview",
        ),
    ),
    links=(SerialSpec(baud=115_200),),
    clock=DeviceClockKind.NONE,
    rhythm=Rhythm(idle_timeout_s=10),
)
