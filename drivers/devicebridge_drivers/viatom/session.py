"""One connection to one of Viatom's devices, which its services tell, and a question where two kinds share one.

- A clip (Nordic's UART) sends its values every second; nothing is written to it. Its result of a spot check is a
  reading; while it makes one its values are not. A result has neither a time nor a number: if the link breaks while it
  is shown and is made anew, it is a reading once more, for it may as well be another person's.
- A ring is asked for its values every second. An O2Ring-S only where the option `o2ring_s_live` allows it.
- A cuff: see cuff.py. An EKG device: see ecg.py.

Values become one reading for each finger by the rule of `devicebridge.sdk.steady`. A device that falls silent has lost
its finger. Nothing is started, set or erased.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pydantic import ConfigDict

from devicebridge.sdk import (
    Battery,
    ByteLink,
    DeviceIdentity,
    Frame,
    GattLink,
    InProgress,
    MemoryOptions,
    Noise,
    Observation,
    Outlet,
    UnexpectedDevice,
)
from devicebridge.sdk.gatt_line import line
from devicebridge.sdk.interview import STRANGER_BYTES, Interview
from devicebridge.sdk.steady import Act, SteadyOptions, read_while_on

from . import cuff, ecg
from .answers import BatteryLevel, ClipValues, ClipWorking, Info, Sensors
from .codec import NOTIFY, RING_S_NOTIFY, RING_S_WRITE, UART_NOTIFY, UART_WRITE, WRITE, codec
from .frames import RingAsk, RingSAsk, ask_lepu, ask_ring

F = TypeVar("F", bound=Frame)

ANSWER_S = 1.0
"""Rings answer within a tenth of it."""
TRIES = 2
VALUES_PER_S = 1
SILENCE_S = 5.0
"""As many values left out, and the finger has gone."""
_SPOT_CHECK, _MEASURING_STEP, _RESULT_STEP = 1, 2, 3
_CUFF_NAME = "BP2"


class ViatomOptions(SteadyOptions, MemoryOptions):
    """When values become a reading, what is read of a cuff's memory, what an O2Ring-S may be asked, what is an EKG."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    o2ring_s_live: bool = False
    """Asks an O2Ring-S for its values. The command's number, 04, erases a BP2: it is only ever sent over the service
    that no BP2 has, and not at all unless this allows it."""
    ekg: bool = False
    """An EKG device (ER1, ER2, DuoEK, VisualBeat) that is advertised by another name."""


async def session(link: GattLink, outlet: Outlet, options: ViatomOptions) -> None:
    """Ends with LinkLost when the device hangs up."""
    if link.has(NOTIFY) and link.has(WRITE):
        async with line(link, outlet, NOTIFY, WRITE) as (uart, _):
            await _by_its_answer(Interview(uart, codec(), outlet), link.name, outlet, options)
    elif link.has(RING_S_NOTIFY) and link.has(RING_S_WRITE):
        async with line(link, outlet, RING_S_NOTIFY, RING_S_WRITE) as (uart, _):
            await _ring_s(Interview(uart, codec(), outlet), outlet, options)
    else:
        async with line(link, outlet, UART_NOTIFY, UART_WRITE) as (uart, _):
            await _Clip(outlet, options).run(uart)


class _Finger:
    """Makes readings of the values of one finger after another."""

    def __init__(self, outlet: Outlet, options: ViatomOptions) -> None:
        self._outlet = outlet
        self._act = Act(options)
        self._battery: int | None = None

    async def arriving(self, link: ByteLink) -> bytes:
        return await read_while_on(link, self._act, VALUES_PER_S)

    async def take(self, observation: Observation) -> None:
        reading = self._act.next(observation, VALUES_PER_S)
        if isinstance(reading, InProgress):
            self._outlet.note(reading)
        elif reading is not None:
            await self._outlet.emit(reading)

    def silent(self) -> None:
        self._act.ended()

    def disturbed(self) -> None:
        self._act.disturbed()

    def battery(self, percent: int) -> None:
        if percent != self._battery and percent <= 100:
            self._battery = percent
            self._outlet.note(Battery(percent=percent))


async def _by_its_answer(interview: Interview, name: str, outlet: Outlet, options: ViatomOptions) -> None:
    """Rings and Lepu's devices do not understand each other's questions; the name says which of them are asked first.

    An EKG device is known by its name, or because the site says so: what it is asked is asked of no cuff.
    """
    is_ecg = options.ekg or name.startswith(ecg.NAMES)
    lepu_first = is_ecg or _CUFF_NAME in name.upper()
    for is_lepu in (lepu_first, not lepu_first) * TRIES:
        question = ask_lepu(cuff.INFO, cuff.FIRST) if is_lepu else ask_ring(RingAsk.INFO)
        info = await interview.ask(question, _frame_of(Info), ANSWER_S)
        if info is None:
            continue
        _introduce(info, outlet)
        if not is_lepu:
            await _ring(interview, outlet, options)
        elif is_ecg:
            await ecg.run(interview, outlet, options)
        else:
            await cuff.run(interview, outlet, options, info)
    raise UnexpectedDevice


def _introduce(info: Info, outlet: Outlet) -> None:
    outlet.note(DeviceIdentity("Viatom", info.model, info.serial, info.firmware))
    if info.battery is not None and info.battery <= 100:
        outlet.note(Battery(percent=info.battery))


async def _ring(interview: Interview, outlet: Outlet, options: ViatomOptions) -> None:
    await _ask_each_second(interview, lambda _: ask_ring(RingAsk.SENSORS), _Finger(outlet, options))


async def _ring_s(interview: Interview, outlet: Outlet, options: ViatomOptions) -> None:
    info = await interview.ask(ask_lepu(RingSAsk.INFO, 0), _frame_of(Info), ANSWER_S)
    if info is not None:
        _introduce(info, outlet)
    finger = _Finger(outlet, options)
    battery = await interview.ask(ask_lepu(RingSAsk.BATTERY, 1), _frame_of(BatteryLevel), ANSWER_S)
    if battery is not None and battery.percent is not None:
        finger.battery(battery.percent)
    if options.o2ring_s_live:
        await _ask_each_second(interview, lambda number: ask_lepu(RingSAsk.LIVE, number), finger)
    while True:
        await interview.rest(SILENCE_S)


async def _ask_each_second(interview: Interview, question: Callable[[int], bytes], finger: _Finger) -> None:
    """Until LinkLost. An answer that comes too late answers a question of a second ago: it is not counted twice."""
    number, silent = 0, 0.0
    while True:
        number = (number + 1) % 255
        asked_s = asyncio.get_running_loop().time()
        found = await interview.ask(question(number), _sensors(number), ANSWER_S)
        if found is None:
            silent += ANSWER_S
            finger.disturbed()
            if silent >= SILENCE_S:
                finger.silent()
        else:
            silent = 0.0
            finger.battery(found.battery)
            for observation in found.group:
                await finger.take(observation)
        await asyncio.sleep(max(0.0, asked_s + 1 / VALUES_PER_S - asyncio.get_running_loop().time()))


class _Clip:
    """A clip that sends by itself."""

    def __init__(self, outlet: Outlet, options: ViatomOptions) -> None:
        self._outlet = outlet
        self._finger = _Finger(outlet, options)
        self._codec = codec()
        self._working: ClipWorking | None = None
        self._strange_bytes = 0

    async def run(self, link: ByteLink) -> None:
        """Until LinkLost."""
        while True:
            for item in self._codec.feed(await self._finger.arriving(link)):
                await self._take(item)
            if self._strange_bytes > STRANGER_BYTES:
                raise UnexpectedDevice

    async def _take(self, item: Frame | Noise) -> None:
        if isinstance(item, Noise):
            self._strange_bytes += len(item.raw)
            self._finger.disturbed()
            self._outlet.note(item)
            return
        self._strange_bytes = 0
        if isinstance(item, ClipWorking):
            await self._work(item)
        elif isinstance(item, ClipValues) and not self._is_spot_checking:
            await self._finger.take(*item.group)
        elif isinstance(item, BatteryLevel) and item.level == 0:
            self._outlet.note(Battery(low=True))

    @property
    def _is_spot_checking(self) -> bool:
        return self._working is not None and self._working.mode == _SPOT_CHECK

    async def _work(self, working: ClipWorking) -> None:
        """The result is said again each second while it is shown."""
        before, self._working = self._working, working
        if working.mode != _SPOT_CHECK:
            return
        self._finger.silent()
        is_new_step = before is None or before.step != working.step
        if is_new_step and working.step == _RESULT_STEP:
            await self._outlet.emit(*working.group)
        elif is_new_step and working.step == _MEASURING_STEP:
            self._outlet.note(InProgress())


def _frame_of(kind: type[F]) -> Callable[[Frame], F | None]:
    return lambda frame: frame if isinstance(frame, kind) else None


def _sensors(number: int) -> Callable[[Frame], Sensors | None]:
    """A ring of the older kind does not say what it answers to."""
    return lambda frame: frame if isinstance(frame, Sensors) and frame.seq in (None, number) else None
