"""What this driver reads, as data."""

from __future__ import annotations

from devicebridge.sdk import DeviceClockKind, Evidence, Kind, Manifest, Model, Rhythm, SerialSpec

_AFINION = "senaite/senaite.astm: tests/data/abbott_afinion2.txt (recorded), instruments/abbott_afinion2.py"
_DCA = (
    'Siemens 17306 Rev. E (2012-06), "DCA Vantage Analyzer, Host Computer Communications Link", as restated in '
    "senaite/senaite.astm: instruments/dca_vantage.py; tests/data/dca_vantage.txt (recorded)"
)
_CONTOUR_SERIAL = "tidepool-org/uploader: lib/drivers/bayer/bayerContour.js"
_CONTOUR_USB = (
    "glucometers-tech/glucometerutils: drivers/tests/test_contourusb.py, test/test_bacontour.py, "
    "test/test_contournextone.py (recorded); tidepool-org/uploader: lib/drivers/bayer/bayerContourNext.js"
)
_STANDARD = "CLSI LIS1-A (ASTM E1381-02) and LIS2-A2 (ASTM E1394-97)"

MANIFEST = Manifest(
    id="astm",
    title="Laboratory analyzers and Contour meters over ASTM E1381/E1394 (LIS1-A, LIS2-A2)",
    kinds=frozenset({Kind.LAB, Kind.GLUCOSE}),
    models=(
        Model(name="Abbott Afinion 2", evidence=Evidence.CAPTURE, source=_AFINION),
        Model(name="Siemens DCA Vantage", evidence=Evidence.CAPTURE, source=_DCA),
        Model(name="Contour, Breeze 2 (serial cable)", evidence=Evidence.OTHER_PROJECT, source=_CONTOUR_SERIAL),
        Model(
            name="Contour USB, Next, Next USB, Next One records (their USB link is not a serial port)",
            evidence=Evidence.CAPTURE,
            source=_CONTOUR_USB,
        ),
        Model(name="Urine strip readers and other analyzers", evidence=Evidence.STANDARD, source=_STANDARD),
    ),
    links=(SerialSpec(baud=9600),),
    clock=DeviceClockKind.READABLE,  # of the meters; of a laboratory instrument with `header_time_is_now`
    rhythm=Rhythm(),  # an analyzer is silent until somebody measures
    has_memory=True,
)
