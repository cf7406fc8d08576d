"""Intake: from what a device said to a row for the outbox. Unit, time, quality and id are settled here.

Time (`_settle_time`): a device's clock is believed only where it can be checked, and its elapsed time is reckoned on
our monotonic clock, so that neither a wrong device clock nor a jump of this PC's can move a reading. An old reading
never looks new: what cannot be dated is published as held, without a time, for a person to decide.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from . import readings
from .clock import Clock
from .ekg.channel import Recorded
from .ekg.strip import strip_message
from .outbox import Entry
from .readings import ClockWord, DeviceMessage, Quality, ReadingMessage, StateWord
from .sdk.outlet import DeviceIdentity
from .sdk.values import Kind, Observation, Origin, Status
from .sdk.wave import Strip
from .topics import Topics

NAMESPACE = uuid.UUID("6b1f8a52-0c43-5f0e-9a57-3d1c7e0b9a41")
"""Of our own making; never to be changed: reading ids derive from it."""

BELIEVABLE_YEARS = range(2010, 2100)
"""Start-up dates of unset clocks lie before it (2000-01-01 is the commonest); a device of today shows none beyond."""

LIVE_WINDOW = timedelta(minutes=3)
"""A cuff or meter pushes a result within a minute; one older than this by its own clock came from memory."""

SYNC_TOLERANCE = timedelta(seconds=5)
"""Below this a device's clock counts as agreeing with ours."""

AHEAD_TOLERANCE = timedelta(minutes=2)
"""A stamp further ahead of the device's own present is from a broken timeline."""

CLOCK_SET_MIN_S = 15.0
"""This PC's wall clock and its monotonic one part by so much only where one was set, or stood still in a sleep."""

RAW_LIMIT_BYTES = 4096
"""Device bytes kept beside a reading on this PC's disk; a long EKG recording carries its samples itself."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where readings come from: the configured device, and the link's own identity of it."""

    site: str
    room: str
    device: str
    driver: str
    link_identity: str
    link_identity_is_device: bool
    simulated: bool
    serial: str | None = None
    """What the device must say, if it says anything."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The device's present time, and the instant of our monotonic clock at which it was read."""

    device: datetime
    monotonic_s: float


@dataclass(frozen=True, slots=True)
class Settled:
    measured_at: datetime | None
    clock: ClockWord
    origin: Origin
    offset_s: int | None
    clock_unset: bool
    repeated: bool = False
    """The local time came twice, and nothing tells which it was."""


class Intake:
    """One device's intake for the length of one session."""

    def __init__(self, source: Source, zone: ZoneInfo, clock: Clock) -> None:
        self._source = source
        self._zone = zone
        self._clock = clock
        self._topics = Topics(source.site, source.room)
        self.identity = DeviceIdentity()
        self.device_clock: ClockReading | None = None
        self.without_number = 0
        """Values so far that were no number, or none that can be."""
        self._wall_ahead_s = self._wall_ahead_now_s()

    @property
    def is_stranger(self) -> bool:
        """What answers says that it is not the configured device."""
        expected, said = self._source.serial, self.identity.serial
        return expected is not None and said is not None and said != expected

    def read_clock(self, device_now: datetime) -> None:
        self.device_clock = ClockReading(device_now, self._clock.monotonic_s())

    @property
    def clock_offset_s(self) -> int | None:
        """Gateway minus device; None where the device's clock is unreadable or unset."""
        device_now = self._device_now()
        if device_now is None or not _is_believable(device_now):
            return None
        return round((self.local_now() - device_now).total_seconds())

    def local_now(self) -> datetime:
        """The site's wall clock, naive."""
        return self._local(self._clock.now())

    def entries(self, group: tuple[Observation, ...]) -> list[Entry]:
        """The outbox rows of one clinical act. Raises KeyError for a value that no code table knows."""
        received_at = self._clock.now()
        if self._was_clock_set():
            group = tuple(replace(o, status=o.status | {Status.GATEWAY_CLOCK_SET}) for o in group)
        return [self._entry(observation, received_at) for observation in group]

    def recording(self, strip: Strip, recorded: Recorded) -> Entry:
        """The outbox row of a strip that was recorded here."""
        status = frozenset({Status.LEAD_OFF}) if recorded.leads_off else frozenset()
        observation = Observation(kind=Kind.ECG, values=(), raw=b"", strip=strip, status=status)
        own = {
            "id": recorded.id,
            "measured_at": self._zoned(recorded.measured_at),
            "strip": strip_message(strip, recorded.drift_ppm),
        }
        return self._row(self._message(observation, self._clock.now()).model_copy(update=own), b"")

    def _entry(self, observation: Observation, received_at: datetime) -> Entry:
        return self._row(self._message(observation, received_at), observation.raw)

    def _row(self, message: ReadingMessage, raw: bytes) -> Entry:
        quarantined = message.quality is Quality.TEST
        device = self._source.device
        topic = self._topics.quarantine(device) if quarantined else self._topics.reading(device, message.kind)
        return Entry(
            id=str(message.id),
            revision=message.revision,
            lane=device,
            topic=topic,
            payload=readings.to_json(message).encode(),
            raw=raw[:RAW_LIMIT_BYTES],
        )

    def _message(self, observation: Observation, received_at: datetime) -> ReadingMessage:
        settled = self._settle_time(observation, received_at)
        values = [readings.normalize(value) for value in observation.values]
        self.without_number += sum(value.absent is not None for value in values)
        marks = ((Status.CLOCK_UNSET, settled.clock_unset), (Status.TIME_REPEATED, settled.repeated))
        status = observation.status | {mark for mark, is_so in marks if is_so}
        return ReadingMessage(
            id=self._id(observation),
            kind=observation.kind,
            site=self._source.site,
            room=self._source.room,
            device=self._device_message(observation.device_user),
            measured_at=self._zoned(settled.measured_at),
            received_at=received_at.astimezone(self._zone),
            device_time=observation.device_time,
            clock=settled.clock,
            clock_offset_s=settled.offset_s,
            origin=settled.origin,
            quality=readings.quality(observation, values),
            status=sorted(status),
            context=sorted(observation.context),
            values=readings.value_messages(observation, values),
            strip=strip_message(observation.strip) if observation.strip else None,
            state=StateWord.PRELIMINARY if settled.measured_at else StateWord.HELD,
            revision=1,
            simulated=self._source.simulated,
        )

    def _device_message(self, user: int | None) -> DeviceMessage:
        identity = self.identity
        return DeviceMessage(
            name=self._source.device,
            driver=self._source.driver,
            manufacturer=identity.manufacturer,
            model=identity.model,
            serial=identity.serial,
            firmware=identity.firmware,
            user=user,
        )

    def _id(self, observation: Observation) -> uuid.UUID:
        """The same for the same measurement, on whichever PC and however often it is heard.

        The device's own key (record number, believable time stamp) makes it, together with the values, so that a
        counter that starts again after a reset cannot hide a reading. Without such a key there is nothing to
        recognise a repeat by, and each is its own: a clock that was never set shows the same time twice.
        """
        stamp = observation.device_time
        if observation.record is None and (stamp is None or not _is_believable(stamp)):
            return uuid.uuid4()
        parts: list[object] = [self._identity_key(), observation.kind, observation.record, observation.device_time]
        for v in observation.values:
            parts += [v.name, v.value, v.unit, v.absent, v.comparator, v.text, v.code]
        if observation.strip is not None:
            parts.append(hashlib.sha256(repr(observation.strip.rows).encode()).hexdigest())
        return uuid.uuid5(NAMESPACE, "\x1f".join(map(str, parts)))

    def _identity_key(self) -> str:
        source, identity = self._source, self.identity
        if source.link_identity_is_device:
            return source.link_identity
        if identity.serial:
            return f"{source.driver}/{identity.manufacturer}/{identity.model}/{identity.serial}"
        return f"{source.driver}/{source.link_identity}/{source.site}/{source.room}/{source.device}"

    def _settle_time(self, observation: Observation, received_at: datetime) -> Settled:
        stamp, device_now = observation.device_time, self._device_now()
        unset = Status.CLOCK_UNSET in observation.status or (stamp is not None and not _is_believable(stamp))
        dated = Settled(None, ClockWord.UNKNOWN, observation.origin, self.clock_offset_s, unset)
        if stamp is None or device_now is None:
            return self._unchecked(dated, stamp, received_at)
        age = device_now - stamp
        if _is_believable(device_now) == unset or age < -AHEAD_TOLERANCE:
            # Between this stamp and now the clock was set, or lost its time: it is a record, of no known age.
            return replace(dated, origin=Origin.STORED)
        if unset:
            # A clock that was never set still runs: what it calls old is old, and when that was nobody knows.
            return self._on_arrival(_aged(dated, age), received_at)
        return self._by_age(_aged(dated, age), stamp, max(age, timedelta()), received_at)

    def _unchecked(self, dated: Settled, stamp: datetime | None, received_at: datetime) -> Settled:
        """No clock to check by: a stamp is believed where it agrees with ours, else the time is not known."""
        if stamp is None or dated.clock_unset:
            return self._on_arrival(dated, received_at)
        measured = self._nearest(stamp, received_at)
        if dated.origin is Origin.LIVE and -AHEAD_TOLERANCE <= received_at - measured <= LIVE_WINDOW:
            return replace(dated, measured_at=min(measured, received_at), clock=ClockWord.DEVICE_SYNCED)
        return dated

    def _on_arrival(self, dated: Settled, received_at: datetime) -> Settled:
        """What was pushed live is of now; what came from memory stays without a time."""
        if dated.origin is Origin.STORED:
            return dated
        return replace(dated, measured_at=received_at, clock=ClockWord.GATEWAY)

    def _by_age(self, dated: Settled, stamp: datetime, age: timedelta, received_at: datetime) -> Settled:
        """A device that agrees with us means our zone's local time; any other is dated by its own elapsed time."""
        by_age = received_at - age
        assert dated.offset_s is not None
        if abs(dated.offset_s) > SYNC_TOLERANCE.total_seconds():
            return replace(dated, measured_at=by_age, clock=ClockWord.CORRECTED)
        measured = min(self._nearest(stamp, by_age), received_at)
        repeated = dated.origin is Origin.STORED and len(set(self._candidates(stamp))) > 1
        return replace(dated, measured_at=measured, clock=ClockWord.DEVICE_SYNCED, repeated=repeated)

    def _was_clock_set(self) -> bool:
        """Since the last time this was asked."""
        before_s, self._wall_ahead_s = self._wall_ahead_s, self._wall_ahead_now_s()
        return abs(self._wall_ahead_s - before_s) > CLOCK_SET_MIN_S

    def _wall_ahead_now_s(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic_s()

    def _device_now(self) -> datetime | None:
        """What the device's clock shows at this moment, from when it was read; None where it was not."""
        read = self.device_clock
        if read is None:
            return None
        try:
            return read.device + timedelta(seconds=self._clock.monotonic_s() - read.monotonic_s)
        except OverflowError:
            return None

    def _nearest(self, stamp: datetime, other: datetime) -> datetime:
        """The instant nearest to another that this local time can mean: a repeated hour means two."""
        return min(self._candidates(stamp), key=lambda instant: abs(other - instant))

    def _candidates(self, stamp: datetime) -> list[datetime]:
        return [stamp.replace(tzinfo=self._zone, fold=fold).astimezone(UTC) for fold in (0, 1)]

    def _local(self, instant: datetime) -> datetime:
        return instant.astimezone(self._zone).replace(tzinfo=None)

    def _zoned(self, instant: datetime | None) -> datetime | None:
        return instant.astimezone(self._zone) if instant else None


def _aged(dated: Settled, age: timedelta) -> Settled:
    return replace(dated, origin=Origin.STORED) if age > LIVE_WINDOW else dated


def _is_believable(stamp: datetime) -> bool:
    return stamp.year in BELIEVABLE_YEARS
