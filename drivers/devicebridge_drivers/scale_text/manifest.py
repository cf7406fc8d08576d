"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_DOCUMENTS = {
    "Detecto solo": "Detecto 0044-0391-0M rev. A, p. 20",
    "Detecto ProDoc PD300 (journal format)": "Detecto 0044-M340-O1 rev. D, p. 41",
    "Detecto apex (SMA format)": "Detecto 3300-0188-0M rev. L, p. 28",
    "Rice Lake 350-10 wheelchair scales": "Rice Lake, 350-10 series manual, 4.1",
    "Rice Lake 140-10, 150-10, 550-10": "Rice Lake, 140-10-7N 4.1; 150-10-5 4.1; 550-10-1 5.1",
    "Tanita SC-240": "Tanita, SC-240 manual, p. 24",
    "Tanita SC-330": "Tanita, SC-330 manual, pp. 46-47",
    "Tanita WB-3000": "Tanita, WB-3000 manual, p. 10",
    "Tanita WB-8000": "Tanita, WB-8000RW manual, section 6",
    "Tanita HD-351BT (Bluetooth serial port)": "Tanita, HD-351BT manual, pp. 4-5",
    "Tanita BD-815U baby scale": "Tanita, BD-815U manual, pp. 22-23",
}

MANIFEST = Manifest(
    id="scale-text",
    title="Scales that print a line: Detecto, Rice Lake, Tanita",
    kinds=frozenset({Kind.WEIGHT, Kind.HEIGHT}),
    models=tuple(
        Model(name=name, evidence=Evidence.VENDOR_DOCUMENT, source=source) for name, source in _DOCUMENTS.items()
    ),
    links=(SerialSpec(baud=9600),),
    clock=DeviceClockKind.STAMPS,  # Detecto solo and ProDoc, Tanita SC-330
    rhythm=Rhythm(),  # most print when a key is pressed
)
