"""What A&D's Bluetooth LE devices want beside the standard: in their own service, a request for what they have stored
and a word to hang up; and, in each connection, the time.

Sources: github.com/obniz/obniz, src/parts/Ble/UA651BLE, UT201BLE and UC352BLE; A&D's "SDK for UA-651BLE" V1.2, 2.1.4
and 5.1, as other projects restate it: a command is its length, 0 to read or 1 to write, and its number. There are
commands that unpair the device (10) and erase its memory (12); these are never sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from .clock_setting import Moment
from .gatt_device import write_optional
from .links import GattLink

CUSTOM = "233bf001-5a34-1b6d-975c-000d5690abe4"
SEND_ALL = bytes.fromhex("0200e1")
HANG_UP = bytes.fromhex("020103")


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """Of one model. is_asked: sends what it has stored when it is asked to, and hangs up when it is told to.
    clock_at: when its clock may be set."""

    is_asked: bool = False
    clock_at: Moment = Moment.QUIET

    async def begin(self, link: GattLink) -> None:
        if self.is_asked:
            await write_optional(link, CUSTOM, SEND_ALL)

    async def end(self, link: GattLink) -> None:
        if self.is_asked:
            await write_optional(link, CUSTOM, HANG_UP)


_ASKED = Habits(is_asked=True, clock_at=Moment.START)
_UNASKED = Habits(clock_at=Moment.START)
MODELS = {
    "A&D_UA-651BLE": _ASKED,
    "UA-651BLE": _ASKED,
    "A&D_UT201BLE": _ASKED,
    "UT-201BLE": _ASKED,
    "A&D_UC-352BLE": _UNASKED,
    "UC-352BLE": _UNASKED,
}
"""By the beginning of the advertised name or of the model number."""


def habits_of(*names: str | None) -> Habits:
    """The first row that fits one of the device's names for itself; those of anybody else where none does."""
    return next((row for name in names if name for prefix, row in MODELS.items() if name.startswith(prefix)), Habits())
