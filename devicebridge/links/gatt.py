"""Bluetooth LE links over bleak: one Radio an adapter, one shared scanner, one link a connection.

A Radio never gives up: an adapter that is off, denied or gone is a typed reason in `state` and in what `open`
raises, and scanning resumes when it is back. Only addresses somebody waits for are looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bleak import BleakClient, BleakScanner
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner

from ..clock import Clock
from ..sdk.driver import GattSpec
from ..sdk.links import GattLink, LinkLost, Loss
from . import Opener
from .advertised import AddressKind, address_kind, pairing_mode
from .bonding import BondFailed, BondFailure, Bonds, Person
from .gatt_link import CANCEL_GRACE_S, BleakLink, Bond, Limits, loss_of, within

__all__ = ["Backend", "Bond", "Limits", "Radio", "RadioState", "Sighting"]

NAME_MAX = 40
"""Characters of an advertised name that are kept: more than a legacy advertisement holds."""
SIGHTINGS_TICK_S = 0.2
"""How often a `scan` hands on what was heard."""
BOND_REACH_S = 30.0
"""For a device to be heard that a person wants bonded: in pairing mode it advertises several times a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The radio that bleak talks to. `Backend()` is the operating system's.

    options: further keyword arguments of both classes.
    bond: the state of the bond on the link to an address that is open, or that could not be opened; None where the
        platform cannot say, and then a driver that demands a bond is not read unless `pair` is asked for.
    bonds: makes, lists and undoes them; None where the platform leaves us no say.
    changed: returns when the adapter goes, comes back or is switched; None where only scans that fail tell.
    """

    scanner: type[BaseBleakScanner] | None = None
    client: type[BaseBleakClient] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    bond: Callable[[str], Bond] | None = None
    bonds: Bonds | None = None
    changed: Callable[[], Coroutine[Any, Any, None]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One advertisement. `name` is stripped and capped; it is never an identity. pairing_mode: None if not told."""

    address: str
    name: str
    services: tuple[str, ...]
    rssi_dbm: int
    address_kind: AddressKind = AddressKind.UNKNOWN
    pairing_mode: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioState:
    """A snapshot for status. reason: why there is no scan just now.

    scanning_s: how long the present scan has run. last_heard_s: how long ago anything at all was heard.
    restarts: how often the scan was started anew because it had gone silent or grown too big.
    """

    reason: Loss | None
    scanning_s: float | None
    last_heard_s: float | None
    waiting: int
    connected: int
    restarts: int


class Radio:
    """One adapter. `start` and `stop` once each; any number of openers and scans between."""

    def __init__(
        self, backend: Backend, *, clock: Clock, adapter: str | None = None, limits: Limits | None = None
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._adapter = adapter
        self._limits = limits or Limits()
        self._task: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()  # adapters make one connection at a time; waiters are served in turn
        self._watches: dict[str, list[_Watch]] = {}
        self._scans: set[asyncio.Queue[Sighting]] = set()
        self._reason: Loss | None = None
        self._scanning_since_s: float | None = None
        self._heard_s: float | None = None
        self._connected = 0
        self._restarts = 0
        self._change: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Begins scanning in the background. Returns at once and never raises for a missing adapter."""
        if self._task is not None:
            raise RuntimeError("the radio was started before")
        self._task = asyncio.create_task(self._run(), name="radio")

    async def stop(self) -> None:
        """Stops scanning. Openers still waiting raise LinkLost."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        if self._change is not None:
            self._change.cancel()
        self._fail(Loss.ADAPTER_ABSENT)

    @property
    def state(self) -> RadioState:
        now_s = self._clock.monotonic_s()
        return RadioState(
            reason=self._reason,
            scanning_s=None if self._scanning_since_s is None else now_s - self._scanning_since_s,
            last_heard_s=None if self._heard_s is None else now_s - self._heard_s,
            waiting=sum(map(len, self._watches.values())),
            connected=self._connected,
            restarts=self._restarts,
        )

    async def scanning(self) -> None:
        """Returns once there is a scan; raises LinkLost where there can be none."""
        while self._scanning_since_s is None:
            if self._reason is not None:
                raise LinkLost(self._reason)
            await self._clock.sleep(SIGHTINGS_TICK_S)

    def opener(self, address: str, spec: GattSpec, *, pair: bool = False) -> Opener:
        """What opens the link to one configured device.

        pair: may pair with it; otherwise nothing is ever paired, and a device that asks for it raises
        LinkLost(BOND_REQUIRED).
        """
        return _Opener(self, address, spec, pair)

    async def scan(self, seconds: float) -> AsyncIterator[Sighting]:
        """Every advertisement heard in so long. Raises LinkLost where there is no radio."""
        queue: asyncio.Queue[Sighting] = asyncio.Queue(self._limits.sightings)
        end_s = self._clock.monotonic_s() + seconds
        self._scans.add(queue)
        try:
            while (left_s := end_s - self._clock.monotonic_s()) > 0:
                if self._reason is not None:
                    raise LinkLost(self._reason)
                while not queue.empty():
                    yield queue.get_nowait()
                await self._clock.sleep(min(left_s, SIGHTINGS_TICK_S))
        finally:
            self._scans.discard(queue)

    @property
    def bonds(self) -> Bonds | None:
        """None where the platform leaves us no say."""
        return self._backend.bonds

    async def bond(self, address: str, person: Person) -> None:
        """Bonds as soon as the device advertises. Raises BondFailed; LinkLost where there is no radio."""
        if self._backend.bonds is None:
            raise BondFailed(BondFailure.UNSUPPORTED)
        with self._watch(address) as watch:
            try:
                async with asyncio.timeout(BOND_REACH_S):
                    await watch.wait()
            except TimeoutError:
                raise BondFailed(BondFailure.NOT_IN_REACH) from None
            async with self._connecting:
                await self._backend.bonds.bond(address, person)

    @asynccontextmanager
    async def open(self, address: str, spec: GattSpec, *, pair: bool) -> AsyncIterator[GattLink]:
        """See `opener`."""
        with self._watch(address) as watch:
            link = await self._connect(watch, spec, pair)
        self._connected += 1
        try:
            yield link
        finally:
            self._connected -= 1
            await link.close()

    async def _connect(self, watch: _Watch, spec: GattSpec, pair: bool) -> BleakLink:
        """Waits for an advertisement and for the adapter. Whoever went silent meanwhile goes on waiting."""
        while True:
            device = await watch.wait()
            async with self._connecting:
                if self._clock.monotonic_s() - watch.heard_s > self._limits.fresh_s:
                    watch.heard.clear()
                    continue
                link = self._link(device, watch)
                try:
                    await link.open(spec, pair=pair)
                except BaseException:
                    await link.close()
                    raise
                return link

    def _link(self, device: BLEDevice, watch: _Watch) -> BleakLink:
        bond = self._backend.bond

        def client(on_disconnect: Callable[[BleakClient], None]) -> BleakClient:
            options = self._options() if self._backend.client is None else {"backend": self._backend.client}
            return BleakClient(
                device,
                disconnected_callback=on_disconnect,
                timeout=self._limits.connect_timeout_s + CANCEL_GRACE_S,  # ours comes first, and says so
                **options,
                **self._backend.options,
            )

        return BleakLink(
            client,
            name=watch.name,
            advertised=watch.services,
            clock=self._clock,
            limits=self._limits,
            bond=lambda: Bond.NONE if bond is None else bond(device.address),
        )

    def _options(self) -> dict[str, Any]:
        return {} if self._adapter is None else {"bluez": {"adapter": self._adapter}}

    @contextmanager
    def _watch(self, address: str) -> Iterator[_Watch]:
        watch = _Watch(asyncio.Event(), failure=self._reason)
        same = self._watches.setdefault(address.upper(), [])
        same.append(watch)
        try:
            yield watch
        finally:
            same.remove(watch)
            if not same:
                del self._watches[address.upper()]

    def _on_advertisement(self, device: BLEDevice, data: AdvertisementData) -> None:
        self._heard_s = self._clock.monotonic_s()
        watches = self._watches.get(device.address.upper())
        if watches is None and not self._scans:
            return
        name = clean_name(data.local_name or device.name or "")
        for watch in watches or ():
            watch.hear(device, name, data.service_uuids, self._heard_s)
        for queue in self._scans:
            if not queue.full():
                queue.put_nowait(
                    Sighting(
                        address=device.address,
                        name=name,
                        services=tuple(data.service_uuids),
                        rssi_dbm=data.rssi,
                        address_kind=address_kind(device.address, data),
                        pairing_mode=pairing_mode(data),
                    )
                )

    async def _run(self) -> None:
        retry_s = self._limits.retry_min_s
        self._expect_change()
        while True:
            try:
                await self._scan_until_worn()
                self._restarts += 1
                retry_s = self._limits.retry_min_s
            except Exception as error:  # noqa: BLE001  backends raise their platform's own errors
                self._fail(loss_of(error))
                changed = await self._sleep(retry_s)
                retry_s = self._limits.retry_min_s if changed else min(retry_s * 2, self._limits.retry_max_s)

    async def _scan_until_worn(self) -> None:
        scanner = self._scanner()
        try:
            await within(scanner.start(), self._limits.scan_timeout_s)
            since_s = self._clock.monotonic_s()
            self._reason, self._scanning_since_s = None, since_s
            while len(scanner.discovered_devices) <= self._limits.tracked_addresses:
                if await self._sleep(self._limits.tick_s):
                    return
                silent_s = self._clock.monotonic_s() - max(since_s, self._heard_s or since_s)
                if silent_s > self._limits.silent_s:
                    return
        finally:
            self._scanning_since_s = None
            await self._stop_scanner(scanner)

    async def _sleep(self, seconds: float) -> bool:
        """Whether a change of the adapter cut it short, one since the last sleep included."""
        if self._change is None:
            await self._clock.sleep(seconds)
            return False
        sleep = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({sleep, self._change}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
        if not self._change.done():
            return False
        self._expect_change()
        return True

    def _expect_change(self) -> None:
        if self._backend.changed is not None:
            self._change = asyncio.ensure_future(self._backend.changed())

    def _scanner(self) -> BleakScanner:
        options = self._options() if self._backend.scanner is None else {"backend": self._backend.scanner}
        return BleakScanner(self._on_advertisement, **options, **self._backend.options)

    async def _stop_scanner(self, scanner: BleakScanner) -> None:
        try:
            await within(scanner.stop(), self._limits.scan_timeout_s)
        except Exception:  # noqa: BLE001  it is thrown away; many backends cannot stop what did not start
            return

    def _fail(self, reason: Loss) -> None:
        self._reason = reason
        for watches in self._watches.values():
            for watch in watches:
                watch.fail(reason)


@dataclass(frozen=True, slots=True)
class _Opener:
    radio: Radio
    address: str
    spec: GattSpec
    pair: bool

    async def ready(self) -> None:
        await self.radio.scanning()

    def open(self) -> AbstractAsyncContextManager[GattLink]:
        return self.radio.open(self.address, self.spec, pair=self.pair)


@dataclass(slots=True, eq=False)
class _Watch:
    """Somebody's wait for one address."""

    heard: asyncio.Event
    failure: Loss | None
    device: BLEDevice | None = None
    name: str = ""
    services: frozenset[str] = frozenset()
    heard_s: float = 0.0

    async def wait(self) -> BLEDevice:
        while True:
            if self.failure is not None:
                raise LinkLost(self.failure)
            if self.heard.is_set() and self.device is not None:
                return self.device
            await self.heard.wait()

    def hear(self, device: BLEDevice, name: str, services: Sequence[str], now_s: float) -> None:
        self.device, self.name, self.heard_s = device, name or self.name, now_s
        self.services = frozenset(services) or self.services
        self.heard.set()

    def fail(self, reason: Loss) -> None:
        self.failure = reason
        self.heard.set()


def clean_name(name: str) -> str:
    """What is kept of a name that a device gave itself."""
    return "".join(c for c in name if c.isprintable()).strip()[:NAME_MAX]
