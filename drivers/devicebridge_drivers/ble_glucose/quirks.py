"""How meters depart from the Glucose Service, by the beginning of a name they give themselves.

Two that keep to it, but look as if they did not: an Accu-Chek answers a change of its clock with a time offset in the
records after it (the displayed time is base and offset together), and an Ascensia Contour wants the bond at once, and
has a clock characteristic of its own, which is not written here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """marks_ketones: meal 6 in the context says that the value is a ketone.
    numbers_shift: sequence numbers are places in a list that moves, and no keys; the time is the only key.
    """

    marks_ketones: bool = False
    numbers_shift: bool = False


_ISENS = Quirk(marks_ketones=True)
QUIRKS = {
    # NightscoutFoundation/xDrip: glucosemeter/caresens/ContextRx.java and its test, BluetoothGlucoseMeter.java
    "i-SENS": _ISENS,
    "CareSens": _ISENS,
    # the same: Diamond Mobile Mini DM30b, "reversed sequence numbers and first item is last item"
    "TaiDoc": Quirk(numbers_shift=True),
}


def quirk_of(*names: str | None) -> Quirk:
    """The first row that fits one of the names: manufacturer, model, advertised name."""
    rows = (quirk for name in names if name for prefix, quirk in QUIRKS.items() if name.startswith(prefix))
    return next(rows, Quirk())
