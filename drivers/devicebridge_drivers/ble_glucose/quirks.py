"""How meters depart from the Glucose Service, by the beginning of a name they give themselves.

Two that keep to it, but look as if they did not: an Accu-Chek answers a change of its clock with a time offset in the
records after it (the displayed time is base and offset together), and an Ascensia Contour shows what it has only to a
host that it is bonded with. A Contour's clock, in a characteristic of its own (00001026-0002-11e2-9e96-0800200c9a66),
is not set: it wants the time of Greenwich and an offset, and cannot be read to prove that it took.
"""

from __future__ import annotations

from dataclasses import dataclass

from devicebridge.sdk.bluetooth import uuid16
from devicebridge.sdk.clock_setting import OwnClock


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """marks_ketones: meal 6 in the context says that the value is a ketone.
    numbers_shift: sequence numbers are places in a list that moves, and no keys; the time is the only key.
    own_clock: where its clock is set; it cannot be read there.
    """

    marks_ketones: bool = False
    numbers_shift: bool = False
    own_clock: OwnClock | None = None


_ISENS = Quirk(marks_ketones=True, own_clock=OwnClock(uuid16(0xFFF1), bytes.fromhex("c0030100")))
QUIRKS = {
    # NightscoutFoundation/xDrip: glucosemeter/caresens/ContextRx.java, its test and TimeTx.java,
    # BluetoothGlucoseMeter.java
    "i-SENS": _ISENS,
    "CareSens": _ISENS,
    # the same: Diamond Mobile Mini DM30b, "reversed sequence numbers and first item is last item"
    "TaiDoc": Quirk(numbers_shift=True),
}


def quirk_of(*names: str | None) -> Quirk:
    """The first row that fits one of the names: manufacturer, model, advertised name."""
    rows = (quirk for name in names if name for prefix, quirk in QUIRKS.items() if name.startswith(prefix))
    return next(rows, Quirk())
