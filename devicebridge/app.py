"""The daemon: wires devices, outbox, publisher and control endpoint together, and stops them in order."""

from __future__ import annotations

import asyncio
import functools
import random
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any

from . import __version__, readings
from .assemble import Assembly
from .clock import Clock
from .config import Config
from .ekg.channel import Channel
from .fleet import Fleet
from .health import DeviceHealth, DeviceState
from .logs import Logger, place_of
from .mistakes import ConfigError, Problem
from .outbox import Fault, OpenReport, Outbox
from .publisher import Phase, Publisher, client_id
from .registry import RegistryError
from .reload import ConfigFile, ConfigState, ConfigWord, changed_devices, for_the_next_start
from .setbacks import Restraint
from .status import OFFLINE, ROOM_SCHEMA, broker_status, outbox_status, refusal
from .supervise import Device, Supervisor
from .topics import Topics
from .web.listen import serve

BREATH_S = 0.1
"""Between two rounds of status, so that a flapping device costs the broker little."""

REFRESH_S = 30.0
"""How often the status topics are written again, so that "ok" is never older than this."""

SESSIONS_END_S, FAREWELL_S, HANG_UP_S = 0.6, 0.5, 0.6
"""How long a stop waits for sessions to end, for the broker to take our last status, and for answers under way: all
of it must be over within 2 s, whatever hangs."""

PUBLISHER_RETRY_S = 5.0

NO_LONGER = b""
"""The status of a device that is gone, or at a broker that we leave: an empty message removes a retained one."""

SLEEP_CHECK_S = 5.0
SLEEP_GAP_S = 15.0
"""So long a gap between two looks at the clock means that the PC slept, or that its clock was set."""


class Daemon:
    """Runs the devices of one room until told to stop."""

    def __init__(
        self,
        config: Config,
        *,
        file: ConfigFile,
        clock: Clock,
        rng: random.Random,
        log: Logger,
        restraint: Restraint = Restraint(),  # noqa: B008 - frozen
    ) -> None:
        """file: where `config` was read from, and where its changes are taken from. restraint: of earlier runs."""
        self._config = config
        self._file = file
        self._clock = clock
        self._rng = rng
        self._log = log
        self._restraint = restraint
        self._topics = Topics(config.site.id, config.site.room)
        self._started_at = clock.now()
        self._ready = False
        self._refusing: Fault | None = None
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        outbox = config.outbox
        self.outbox = Outbox(
            outbox.path,
            max_bytes=outbox.max_mib << 20,
            reserve_bytes=outbox.reserve_mib << 20,
            keep_s=outbox.keep_days * 86_400,
            clock=clock,
        )
        self.fleet = Fleet(self._supervisor, clock)
        self.config_state = ConfigState(ConfigWord.CURRENT, self._started_at)
        self._reloading = asyncio.Lock()
        self._assembly: Assembly | None = None
        self._sending: asyncio.Task[None] | None = None
        self._is_moving = False
        self.publisher: Publisher | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set. Raises ConfigError or OutboxFailed before anything is opened to a device."""
        async with AsyncExitStack() as stack:
            self._assembly = Assembly(self._clock, stack)
            devices = await self._assembly.devices(self._config, self._config.devices)
            self._report_salvage(await self.outbox.open())
            stack.push_async_callback(self.outbox.close)
            self.publisher = self._make_publisher()
            await self._serve(devices, stop, stack)

    async def _serve(self, devices: list[Device], stop: asyncio.Event, stack: AsyncExitStack) -> None:
        assert self.publisher is not None
        self.fleet.start(devices)
        await self._announce(self.fleet.healths)
        self._sending = asyncio.create_task(self._keep_sending())
        try:
            config = self._config
            await stack.enter_async_context(serve(self, config.control.port, config.outbox.path, self._log))
            self._log.info("started", version=__version__, count=len(devices))
            await self._watch_over(stop)
        finally:
            await self._go_offline()

    async def _watch_over(self, stop: asyncio.Event) -> None:
        """Until told to stop; then ends the devices in bounded time."""
        chores = (
            self.fleet.run(),
            self._keep_status(),
            self._refresh_status(),
            self._notice_sleep(),
            self._keep_config(),
        )
        running = [asyncio.create_task(chore) for chore in chores]
        try:
            await _until_stopped(stop, running)
        finally:
            for task in running:
                task.cancel()
            await self.fleet.end(SESSIONS_END_S)

    async def _keep_sending(self) -> None:
        """A publisher that fails must not end the collecting: readings go on to the disk, and it is tried again."""
        assert self.publisher is not None
        while True:
            try:
                await self.publisher.run()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is contained here
                self._log.error("publisher-fault", error=type(error).__name__, place=place_of(error))
            await self._clock.sleep(PUBLISHER_RETRY_S)

    async def _go_offline(self) -> None:
        """Says goodbye, lets what is on its way arrive, and hangs up. What is left goes out after the next start."""
        for health in self.fleet.healths.values():
            health.enter(DeviceState.STOPPED)
        await self._hang_up(self.fleet.healths, HANG_UP_S)
        self._log.info("stopped")

    async def _hang_up(self, devices: Iterable[str], timeout_s: float | None) -> None:
        assert self.publisher is not None and self._sending is not None
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._announce_devices(devices)
                await self.publisher.farewell(self._topics.room_status, OFFLINE)
        self._sending.cancel()
        await asyncio.wait({self._sending}, timeout=timeout_s)

    def _supervisor(self, device: Device, health: DeviceHealth) -> Supervisor:
        return Supervisor(
            device,
            self.outbox,
            health,
            clock=self._clock,
            rng=self._rng,
            log=self._log,
            changed=functools.partial(self._changed, device.name),
            show=functools.partial(self._show, self._topics.wave(device.name)),
            restraint=self._restraint,
        )

    def ekg(self, device: str) -> Channel | None:
        """None where there is no such device, or it has no leads."""
        supervisor = self.fleet.supervisors.get(device)
        return supervisor.ekg if supervisor else None

    def _show(self, topic: str, payload: bytes) -> bool:
        assert self.publisher is not None
        return self.publisher.show(topic, payload)

    def _make_publisher(self) -> Publisher:
        broker = self._config.broker
        return Publisher(
            broker,
            self.outbox,
            client_id=self._client_id(),
            will_topic=self._topics.room_status,
            will_payload=OFFLINE,
            clock=self._clock,
            rng=self._rng,
            on_change=self._broker_changed,
        )

    def _client_id(self) -> str:
        return self._config.broker.client_id or client_id(self.outbox.instance_id)

    # --- config -------------------------------------------------------------------------------------------------

    async def _keep_config(self) -> None:
        """Takes up what changes in the file."""
        while True:
            await self._file.changed()
            await self.reload()

    async def reload(self) -> ConfigState:
        """Reads the file now. It is taken whole, or the one before it stays in force, and the state says why."""
        async with self._reloading:
            self.config_state = await self._taken_up()
            state = self.config_state
            self._log.info("config", state=state.word, count=len(state.problems))
            self._wake.set()
            return state

    async def _taken_up(self) -> ConfigState:
        now = self._clock.now()
        try:
            config = await asyncio.to_thread(self._file.read)
            if problems := for_the_next_start(self._config, config):
                return ConfigState(ConfigWord.RESTART_NEEDED, now, problems)
            await self._change(config)
        except ConfigError as error:
            return ConfigState(ConfigWord.REFUSED, now, tuple(error.problems))
        except RegistryError as error:
            what, _, remedy = str(error).rpartition("; ")
            return ConfigState(ConfigWord.REFUSED, now, (Problem("drivers", what, remedy),))
        except Exception as error:  # noqa: BLE001 - a driver's options may raise anything; the devices must go on
            self._log.error("config-fault", error=type(error).__name__, place=place_of(error))
            what = f"cannot be taken up ({type(error).__name__} at {place_of(error)})"
            return ConfigState(ConfigWord.REFUSED, now, (Problem("the config", what, "report it to the authors"),))
        return ConfigState(ConfigWord.CURRENT, now)

    async def _change(self, config: Config) -> None:
        """Only devices that are another than before are stopped, and only then started."""
        assert self._assembly is not None and self.publisher is not None
        old, changed = self._config, changed_devices(self._config, config)
        devices = await self._assembly.devices(config, changed)
        gone = old.devices.keys() - config.devices.keys()
        self._config = config
        self.fleet.stop(gone | (changed & old.devices.keys()))
        self.fleet.start(devices)
        for name in gone:
            self.publisher.announce(self._topics.device_status(name), NO_LONGER)
        if config.broker != old.broker:
            await self._change_broker()
        self._dirty.update(changed)

    async def _change_broker(self) -> None:
        """Takes leave of the old one properly: what it was given is answered for, and it says that we are offline."""
        assert self.publisher is not None
        self._is_moving = True
        for name in self.fleet.healths:
            self.publisher.announce(self._topics.device_status(name), NO_LONGER)
        await self._hang_up((), None)
        self._is_moving = False
        self.publisher.use(self._config.broker, self._client_id())
        await self._announce(self.fleet.healths)
        self._sending = asyncio.create_task(self._keep_sending())

    # --- status -------------------------------------------------------------------------------------------------

    def _changed(self, device: str) -> None:
        self._dirty.add(device)
        self._wake.set()

    def _broker_changed(self) -> None:
        self._wake.set()

    async def _keep_status(self) -> None:
        """Writes the status topics of what has changed."""
        said: tuple[Any, ...] = ()
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._is_moving:
                continue  # all of it is said to the next broker
            said = self._log_broker(said)
            changed, self._dirty = self._dirty, set()
            await self._announce(changed)
            await asyncio.sleep(BREATH_S)

    async def _refresh_status(self) -> None:
        """All of them again, however busy the rest is: an "ok" must not outlive its evidence."""
        while True:
            await self._clock.sleep(REFRESH_S)
            self.settle()
            self._dirty.update(self.fleet.healths)
            self._wake.set()

    def settle(self) -> None:
        """No state outlives its evidence."""
        for health in self.fleet.healths.values():
            health.settle()

    async def _notice_sleep(self) -> None:
        """After a sleep the connection is dead without knowing it: a new one is made at once."""
        assert self.publisher is not None
        looked = self._clock.now(), self._clock.monotonic_s()
        while True:
            await self._clock.sleep(SLEEP_CHECK_S)
            now = self._clock.now(), self._clock.monotonic_s()
            wall_s, elapsed_s = (now[0] - looked[0]).total_seconds(), now[1] - looked[1]
            if max(wall_s, elapsed_s) > SLEEP_GAP_S or abs(wall_s - elapsed_s) > SLEEP_GAP_S:
                self._log.warning("clock-gap", seconds=round(max(wall_s, elapsed_s)))
                self.publisher.reconnect()
            looked = now

    async def _announce(self, devices: Iterable[str]) -> None:
        assert self.publisher is not None
        room = await self.room_status()
        if self._is_moving:
            return  # the old broker has heard our last word
        if (refusing := room["outbox"]["fault"]) != self._refusing:
            self._refusing, devices = refusing, self.fleet.healths
        await self._announce_devices(devices)
        self.publisher.announce(self._topics.room_status, readings.to_json(room).encode())

    async def _announce_devices(self, devices: Iterable[str]) -> None:
        assert self.publisher is not None
        for name in self.fleet.healths.keys() & set(devices):
            status = self.device_status(name)
            self.publisher.announce(self._topics.device_status(name), readings.to_json(status).encode())

    def _log_broker(self, said: tuple[Any, ...]) -> tuple[Any, ...]:
        """Once when lost, once when back."""
        assert self.publisher is not None
        state = self.publisher.state
        refused = refusal(state)
        now = (state.phase, state.reason, refused)
        if now != said:
            self._log.info("broker", phase=state.phase, reason=state.reason or refused, address=state.address)
            if state.phase is Phase.CONNECTED and not state.refusals_visible:
                self._log.warning("refusals-not-visible", protocol=state.protocol)
        if state.phase is Phase.CONNECTED and not self._ready:
            self._ready = True
            self._log.info("ready", seconds=round((self._clock.now() - self._started_at).total_seconds(), 3))
        return now

    def device_status(self, name: str) -> Mapping[str, Any]:
        return self.fleet.healths[name].status(cannot_save=self._refusing is not None)

    async def room_status(self) -> Mapping[str, Any]:
        assert self.publisher is not None
        broker = self.publisher.state
        return {
            "schema": ROOM_SCHEMA,
            "state": "online",
            "version": __version__,
            "as_of": self._clock.now(),
            "started_at": self._started_at,
            "simulated": self._config.simulated,
            "broker": broker_status(broker),
            "outbox": await outbox_status(self.outbox, broker),
            "config": self.config_state.status,
            "devices": {name: health.state for name, health in self.fleet.healths.items()},
        }

    def _report_salvage(self, report: OpenReport) -> None:
        if report.moved_to or report.missing:
            self._log.error("outbox-salvaged", salvaged=report.salvaged, count=report.damaged, lost=report.missing)


async def _until_stopped(stop: asyncio.Event, tasks: Iterable[asyncio.Task[None]]) -> None:
    """Returns when told to stop; raises what a task raised. One that merely ends is not waited for any longer."""
    waiting = asyncio.create_task(stop.wait())
    left: set[asyncio.Task[Any]] = {waiting, *tasks}
    try:
        while not waiting.done():
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    finally:
        waiting.cancel()


def install_signal_handlers(stop: Callable[[], None]) -> None:
    """SIGINT, SIGTERM and, on Windows, Ctrl-Break: the same on every platform and event loop."""
    import signal

    loop = asyncio.get_running_loop()

    def handler(_number: int, _frame: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop)

    for name in ("SIGINT", "SIGTERM", *(("SIGBREAK",) if sys.platform == "win32" else ())):
        signal.signal(getattr(signal, name), handler)
