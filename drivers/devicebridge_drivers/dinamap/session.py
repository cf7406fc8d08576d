"""One session with a DINAMAP: it is asked in turn for blood pressure, oximetry, pulse rate and temperature.

What becomes a reading: of blood pressure and temperature each new determination (`acts`), with the pulse rate that the
monitor took from the cuff; of oximetry one reading for each finger (`sdk.steady`), with the pulse rate that it took
from the oximeter. Temperatures in monitor mode never conclude and make no reading.

What a monitor does not have it refuses, or does not answer: after three times in a row it is not asked for it again.
Blood pressure is always asked for. A PRO 1000 in native binary mode is not understood: it counts as another device.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from pydantic import ConfigDict, Field

from devicebridge.sdk import (
    Absent,
    ByteLink,
    Frame,
    InProgress,
    Name,
    Observation,
    Outlet,
    UnexpectedDevice,
    Unit,
    Value,
)
from devicebridge.sdk.cuff import may_start
from devicebridge.sdk.interview import Interview
from devicebridge.sdk.steady import Act, SteadyOptions

from .acts import Determinations, Temperatures
from .blocks import Block
from .codec import codec
from .messages import BloodPressure, Command, Message, Oximetry, Rate, Temperature

T = TypeVar("T", bound=Message)

_READ_BP = b" NA!2\r"  # with their checksums: tnez/TK-BP, ksupasak/gxt, GeV100SerialConn.cs
_READ_BP_RATE = b" RC!8\r"
_READ_OXIMETRY = b" OA!3\r"
_READ_RATE = b" RA!6\r"
_READ_TEMPERATURE = b" TC!:\r"
_START_BP = b" NC0!E\r"
_OURS = frozenset({"NA", "RC", "OA", "RA", "TC"})
_BP_KEY, _TEMPERATURE_KEY = "blood-pressure", "temperature"
_MISSES_MAX = 3
_BLOCKS_MAX = 50  # a second of native binary mode


class DinamapOptions(SteadyOptions):
    """How the monitor is asked, and whether it may be told to measure."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    start_on_connect: bool = False
    """Inflates the cuff once when the session begins, and not again within five minutes. The cuff is never started
    otherwise."""
    poll_s: float = Field(default=1, ge=0, le=10)
    """How many seconds lie between two rounds of requests."""
    reply_timeout_s: float = Field(default=2, gt=0, le=30)
    """How many seconds the monitor has to answer."""


async def session(link: ByteLink, outlet: Outlet, options: DinamapOptions) -> None:
    """Asks until the link ends."""
    monitor = _Monitor(Interview(link, codec(), outlet), options.reply_timeout_s)
    rounds = _Round(
        monitor,
        outlet,
        Determinations(await outlet.recall(_BP_KEY)),
        Temperatures(await outlet.recall(_TEMPERATURE_KEY)),
        Act(options),
        per_s=1 / (options.poll_s or 1),
    )
    await rounds.look()  # what stands there before anything is started
    if options.start_on_connect and await may_start(outlet):
        await monitor.start()
    while True:
        await asyncio.sleep(options.poll_s)
        await rounds.look()


class _Round:
    """Asks for everything once."""

    def __init__(
        self,
        monitor: _Monitor,
        outlet: Outlet,
        determinations: Determinations,
        temperatures: Temperatures,
        finger: Act,
        *,
        per_s: float,
    ) -> None:
        self._monitor = monitor
        self._outlet = outlet
        self._determinations = determinations
        self._temperatures = temperatures
        self._finger = finger
        self._per_s = per_s

    async def look(self) -> None:
        pressure = await self._monitor.ask(_READ_BP, BloodPressure)
        if pressure is None:
            return  # nobody is there: what else is missing proves nothing
        await self._pressure(pressure)
        oximetry = await self._monitor.try_to_ask(_READ_OXIMETRY, Oximetry)
        if oximetry is not None:
            await self._oximetry(oximetry, await self._monitor.try_to_ask(_READ_RATE, Rate))
        temperature = await self._monitor.try_to_ask(_READ_TEMPERATURE, Temperature)
        if temperature is not None:
            await self._temperature(temperature)

    async def _pressure(self, said: BloodPressure) -> None:
        before, found = self._determinations.mark, self._determinations.next(said, _now_s())
        if isinstance(found, Observation) and said.state == "done":
            found = _with_rate(found, await self._monitor.try_to_ask(_READ_BP_RATE, Rate))
        await self._report(found)
        await self._remember(_BP_KEY, before, self._determinations.mark)

    async def _oximetry(self, said: Oximetry, rate: Rate | None) -> None:
        found = _with_pulse(said, rate)
        if found is None:
            self._finger.disturbed()
        else:
            await self._report(self._finger.next(found, self._per_s))

    async def _temperature(self, said: Temperature) -> None:
        before, found = self._temperatures.mark, self._temperatures.next(said)
        await self._report(found)
        await self._remember(_TEMPERATURE_KEY, before, self._temperatures.mark)

    async def _report(self, found: Observation | InProgress | None) -> None:
        if isinstance(found, InProgress):
            self._outlet.note(found)
        elif found is not None:
            await self._outlet.emit(found)

    async def _remember(self, key: str, before: str | None, mark: str | None) -> None:
        if mark is not None and mark != before:
            await self._outlet.remember(key, mark)


class _Monitor:
    """Asks; raises UnexpectedDevice where binary blocks come instead."""

    def __init__(self, interview: Interview, timeout_s: float) -> None:
        self._interview = interview
        self._timeout_s = timeout_s
        self._misses: Counter[bytes] = Counter()
        self._blocks = 0

    async def ask(self, request: bytes, wanted: type[T]) -> T | None:
        """None where nothing comes in time, or a refusal does."""
        code = request[1:3].decode()
        answer = await self._interview.ask(request, self._answer_to(code), self._timeout_s)
        if answer is None:
            await self._interview.rest(self._timeout_s)  # so that a late answer is not taken for the next
        return answer if isinstance(answer, wanted) else None

    async def try_to_ask(self, request: bytes, wanted: type[T]) -> T | None:
        """As `ask`, as long as it is not always in vain."""
        if self._misses[request] == _MISSES_MAX:
            return None
        answer = await self.ask(request, wanted)
        self._misses[request] = 0 if answer is not None else self._misses[request] + 1
        return answer

    async def start(self) -> None:
        """Inflates the cuff. What the monitor answers is not public: anything will do."""
        await self._interview.ask(_START_BP, _any_message, self._timeout_s)

    def _answer_to(self, code: str) -> Callable[[Frame], Message | None]:
        """Every message but an echo, and an answer to something else that we ask for."""

        def answer(frame: Frame) -> Message | None:
            self._blocks += isinstance(frame, Block)
            if self._blocks == _BLOCKS_MAX:
                raise UnexpectedDevice
            if not isinstance(frame, Message) or isinstance(frame, Command):
                return None
            return frame if frame.code == code or frame.code not in _OURS else None

        return answer


def _any_message(frame: Frame) -> Message | None:
    return frame if isinstance(frame, Message) else None


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _with_rate(found: Observation, rate: Rate | None) -> Observation:
    """With the pulse rate, where the monitor took it from the cuff."""
    if rate is None or rate.source != "nibp" or rate.group[0].values[0].value is None:
        return found
    return replace(found, values=found.values + rate.group[0].values, raw=found.raw + rate.raw)


def _with_pulse(said: Oximetry, rate: Rate | None) -> Observation | None:
    """SpO2 and the pulse rate; None where there is SpO2, and the monitor does not say what rate goes with it."""
    spo2 = said.group[0]
    if rate is not None and rate.source == "oximeter":
        return replace(spo2, values=spo2.values + rate.group[0].values, raw=said.raw + rate.raw)
    if spo2.values[0].value is not None:
        return None
    return replace(spo2, values=(*spo2.values, Value(Name.PULSE_RATE, Unit.PER_MINUTE, absent=Absent.UNKNOWN)))
