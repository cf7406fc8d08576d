"""What a result record says: one observation, in the context of the header and the order before it.

Sources: CLSI LIS2-A2 (ASTM E1394), header, order and result records; Siemens 17306 Rev. E, "DCA Vantage Analyzer, Host
Computer Communications Link", and the Afinion 2's records, both as restated in senaite/senaite.astm
(instruments/dca_vantage.py, abbott_afinion2.py). Who the patient or the sample is, these records say as well: it is
typed at the instrument, often wrong or left from the last one, and so no field of P, and of O none but the action code
and the specimen, is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from zlib import crc32

from devicebridge.sdk import Absent, Comparator, Context, Kind, Name, Observation, Origin, Status, Unit, Value

from .records import Delimiters, Record, text_of, time_of, word

CODED_MAX_CHARS = 40  # what the sdk takes for a coded result or an analyte's name

UNITS = {
    "%": Unit.PERCENT,
    "mg/dl": Unit.MG_PER_DL,
    "mmol/l": Unit.MMOL_PER_L,
    "mmol/mol": Unit.MMOL_PER_MOL,
    "mg/l": Unit.MG_PER_L,
    "mg/g": Unit.MG_PER_G,
    "mg/mmol": Unit.MG_PER_MMOL,
    "g/dl": Unit.G_PER_DL,
    "umol/l": Unit.UMOL_PER_L,
    "\N{GREEK SMALL LETTER MU}mol/l": Unit.UMOL_PER_L,
    "": Unit.UNITY,
}
"""By the unit in folded case, in which the micro sign is a mu: instruments write mg/dL and mg/dl."""

_HBA1C = frozenset({"hba1c", "a1c"})
_HBA1C_UNITS = frozenset({Unit.PERCENT, Unit.MMOL_PER_MOL})
_ABOVE, _BELOW = Comparator.ABOVE, Comparator.BELOW
_COMPARATORS = {">": _ABOVE, "<": _BELOW}
_NUMBER = re.compile(r"([<>]?)\s*(-?\d{1,9}(?:\.\d{1,9})?)", re.ASCII)
_WORDS = {
    "hi": (Absent.POSITIVE_INFINITY, Status.RESULT_ABOVE_RANGE),
    "lo": (Absent.NEGATIVE_INFINITY, Status.RESULT_BELOW_RANGE),
}
_PROCESSING = {"Q": Status.CONTROL_SOLUTION, "T": Status.TEST_DATA, "D": Status.TEST_DATA}  # H-12
_ACTIONS = {"Q": Status.CONTROL_SOLUTION}  # O-12: "treat the specimen as a quality control"
_FLAGS = {"!": Status.QUESTIONABLE_MEASUREMENT}  # R-7; "!" is Afinion's "result ambiguous"
_STATUSES = {
    "P": Status.EARLY_ESTIMATE,  # preliminary
    "S": Status.EARLY_ESTIMATE,  # partial
    "I": Status.MEASUREMENT_ONGOING,  # pending in the instrument
    "X": Status.MEASUREMENT_UNAVAILABLE,  # cannot be done
    "W": Status.QUESTIONABLE_MEASUREMENT,  # validity is questionable
    "V": Status.VALIDATED,  # verified by an operator
}
_NO_RESULT = {"X": Absent.NOT_PERFORMED, "I": Absent.UNKNOWN}
_PREVIOUSLY_SENT = "R"
_SPECIMENS = {"urine": Context.URINE, "plasma": Context.PLASMA, "blood": Context.WHOLE_BLOOD}  # O-16.1
_AFINION_SPECIMENS = {"C": Context.CAPILLARY_WHOLE_BLOOD, "V": Context.VENOUS_WHOLE_BLOOD}  # O-16.2

_METERS = ("bayer", "contour")
_LIMITS = re.compile(r"V=(\d\d)(\d{3})", re.ASCII)  # H-6 (glucometerutils, support/contourusb.py)
_KNOWN_SENDERS = ("afinion", "dca vantage", *_METERS)  # whose H-5 is name ^ version ^ serial number


@dataclass(frozen=True, slots=True)
class Header:
    """Who sends, and when the message was made. Of an unknown instrument only the first word is believed."""

    instrument: str | None = None
    firmware: str | None = None
    serial: str | None = None
    time: datetime | None = None

    @property
    def is_meter(self) -> bool:
        """A meter of the Contour family, which sends its memory."""
        return (self.instrument or "").casefold().startswith(_METERS)


@dataclass(frozen=True, slots=True)
class Message:
    """What the records before a result say of it."""

    delimiters: Delimiters = field(default_factory=Delimiters)
    header: Header = field(default_factory=Header)
    processing: frozenset[Status] = frozenset()
    action: frozenset[Status] = frozenset()
    specimen: frozenset[Context] = frozenset()
    limits_mg_dl: tuple[Decimal, Decimal] | None = None
    """A meter's lowest and highest reading."""
    trail: int = 0
    """The CRC-32 of the records from the header on."""

    def after(self, record: Record) -> Message:
        """The context of what follows this record."""
        match record.type:
            case "H":
                found = _PROCESSING.get(record.field(12))
                processing = frozenset({found} if found else ())
                limits = _limits_mg_dl(record)
                return Message(
                    record.delimiters, header(record), processing, limits_mg_dl=limits, trail=crc32(record.raw)
                )
            case "L":
                return Message(self.delimiters)
        return replace(self._within(record), trail=crc32(record.raw, self.trail))

    def _within(self, record: Record) -> Message:
        match record.type:
            case "P":
                return replace(self, action=frozenset(), specimen=frozenset())
            case "O":
                action = frozenset(_ACTIONS[code] for code in record.repeats(12) if code in _ACTIONS)
                return replace(self, action=action, specimen=_specimen(record, self.header))
            case _:
                return self

    @property
    def status(self) -> frozenset[Status]:
        return self.processing | self.action


def read(raw: bytes, message: Message, *, is_whole: bool) -> Record:
    """A record, with the delimiters that hold for it."""
    is_header = raw[:1] == b"H"
    return Record.read(raw, Delimiters.of_header(text_of(raw)) if is_header else message.delimiters, is_whole=is_whole)


def header(record: Record) -> Header:
    name, firmware, serial = (*map(word, record.field(5).split(record.delimiters.component)), None, None, None)[:3]
    if not (name or "").casefold().startswith(_KNOWN_SENDERS):
        firmware = serial = None
    return Header(name, firmware, serial, time_of(record.field(14)))


def _limits_mg_dl(record: Record) -> tuple[Decimal, Decimal] | None:
    settings = record.field(6).split(record.delimiters.component)
    found = next(filter(None, map(_LIMITS.fullmatch, settings)), None)
    return (Decimal(found[1]), Decimal(found[2])) if found else None


def analyte_code(record: Record) -> str:
    """R-3: its first part where that is a name, else the instrument's own code from the fourth part on.

    Readers of urine strips put a number, and some a LOINC code, before their own; a GeneXpert puts behind it the part
    of the test, as a probe, and what of that is given, as Ct (parts 7 and 8).
    """
    first = record.component(3, 1)
    own = next((code for place in (4, 5, 6) if (code := record.component(3, place))), "")
    if any(map(str.isalpha, first)) or not own:
        return first
    return " ".join(filter(None, (own, record.component(3, 7), record.component(3, 8))))


def laboratory(record: Record, message: Message) -> Observation:
    """A result of a laboratory instrument."""
    code = word(analyte_code(record), CODED_MAX_CHARS)
    value, status = _value(record, code)
    time, clock = stamp(record, 13, 12)
    return Observation(
        kind=Kind.LAB,
        values=(value,),
        raw=record.raw,
        device_time=time,
        record=None if time else _key(message),
        origin=Origin.STORED if _PREVIOUSLY_SENT in record.repeats(9) else Origin.LIVE,
        status=status | clock | message.status | unusual(record),
        context=message.specimen,
    )


def stamp(record: Record, *places: int) -> tuple[datetime | None, frozenset[Status]]:
    """The first of these fields that holds anything, as a time; CLOCK_UNSET where that is none."""
    text = next((found for place in places if (found := record.field(place))), "")
    time = time_of(text)
    return time, frozenset({Status.CLOCK_UNSET} if text and time is None else ())


def _key(message: Message) -> str | None:
    """Of a result without a time, so that a message sent again says the same: all records from the header to it.

    The header's time must be among them: else equal results of two people would look like one sent twice. It is no
    time of the result, nor is that of the order: both may be hours away from it.
    """
    return f"{message.trail:08x}" if message.header.time else None


def unusual(record: Record) -> frozenset[Status]:
    return frozenset() if record.is_whole else frozenset({Status.UNEXPECTED_FORMAT})


def number(text: str, flags: frozenset[Comparator]) -> tuple[Decimal, Comparator | None] | None:
    """A number with the bound that it or the flags beside it put; None where it is none, or they disagree."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    bounds = flags | ({_COMPARATORS[match[1]]} if match[1] else set())
    return (Decimal(match[2]), next(iter(bounds), None)) if len(bounds) < 2 else None


def _value(record: Record, code: str | None) -> tuple[Value, frozenset[Status]]:
    """R-4 in R-5 with the flags of R-7 and the status of R-9, and what these say beside the value."""
    text, unit_text = _result_text(record), record.component(5, 1)
    unit = UNITS.get(unit_text.casefold())
    is_hba1c = (code or "").casefold() in _HBA1C and unit in _HBA1C_UNITS
    shell = Value(Name.HBA1C if is_hba1c else Name.ANALYTE, unit or Unit.UNITY, absent=Absent.ERROR)
    if not is_hba1c:
        shell = replace(shell, code=code)
    states, flags = record.repeats(9), record.repeats(7)
    status = {_STATUSES[state] for state in states if state in _STATUSES}
    status |= {_FLAGS[flag] for flag in flags if flag in _FLAGS}
    missing = next((_NO_RESULT[state] for state in states if state in _NO_RESULT), None) or _missing(text)
    if missing is not None:
        return replace(shell, absent=missing), frozenset(status)
    bounds = frozenset(_COMPARATORS[flag] for flag in flags if flag in _COMPARATORS)
    found = number(text, bounds)
    if code is None or (found is None and _NUMBER.fullmatch(text)):
        return shell, frozenset(status | {Status.UNEXPECTED_FORMAT})
    if found is not None and unit is not None:
        return replace(shell, absent=None, value=found[0], comparator=found[1]), frozenset(status)
    if is_hba1c:
        return _word(shell, text, status)
    return _coded(shell, text, unit_text if any(map(str.isdigit, text)) else "", bounds, status)


def _word(shell: Value, text: str, status: set[Status]) -> tuple[Value, frozenset[Status]]:
    """Something else where a number belongs: HI, LO, or an error code."""
    absent, why = _WORDS.get(text.casefold(), (Absent.ERROR, Status.DEVICE_ERROR))
    return replace(shell, absent=absent), frozenset(status | {why})


def _coded(
    shell: Value, text: str, unit_text: str, bounds: frozenset[Comparator], status: set[Status]
) -> tuple[Value, frozenset[Status]]:
    """A result in words; or in digits, with which their unit stays: a number in a unit that UCUM does not know, or
    something like one (`<=5`, `5,4`)."""
    bound = "".join(bounds) if bounds and text[:1] not in _COMPARATORS else ""
    coded = f"{bound}{text} {unit_text}".strip()
    if len(coded) > CODED_MAX_CHARS or not coded.isprintable():
        return shell, frozenset(status | {Status.UNEXPECTED_FORMAT})
    return replace(shell, absent=None, text=coded, unit=Unit.UNITY), frozenset(status)


def _result_text(record: Record) -> str:
    """R-4; where only one of its components is filled, that (a GeneXpert's `^25.5`); several stay as they were sent."""
    text = record.field(4)
    return record.plain(text.replace(record.delimiters.component, "")) if record.components(4) == 1 else text


def _missing(text: str) -> Absent | None:
    """Nothing, or a row of dashes ("cannot be calculated or measured"), or of asterisks. One dash is "negative"."""
    if not text or (len(text) > 1 and not text.strip("-")):
        return Absent.UNKNOWN
    return None if text.strip("*") else Absent.ERROR


def _specimen(record: Record, sender: Header) -> frozenset[Context]:
    found = _SPECIMENS.get(record.component(16, 1).casefold())
    if (sender.instrument or "").casefold().startswith("afinion"):
        found = found or _AFINION_SPECIMENS.get(record.component(16, 2))
    return frozenset({found} if found else ())
