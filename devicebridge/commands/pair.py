"""devicebridge pair: adds a device. It ends with a table in the config, or leaves nothing behind."""

from __future__ import annotations

import argparse
import asyncio
import json
import tomllib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from ..clock import SystemClock
from ..config import REMEDIES as CONFIG_REMEDIES
from ..config import DeviceConfig, Segment
from ..health import REMEDIES
from ..links.bonding import BondFailed, BondFailure
from ..links.gatt import Radio
from ..mistakes import ConfigError, explain
from ..outlet import DEVICE_TEXT_LIMIT
from ..pairing.attempt import Attempt
from ..pairing.configfile import ConfigEditor, Unwritable
from ..pairing.identity import Unidentifiable, needs_bond
from ..pairing.trial import Step, Trial
from ..registry import driver as load_driver
from ..sdk.driver import Manifest
from ..sdk.links import LinkLost
from ..sdk.values import Kind
from ..words import BOND
from .choose import Chooser, Found, check_driver
from .errors import EX_CONFIG, EX_USAGE, CommandError
from .inreach import open_radio
from .reload import taken_up, told
from .terminal import Console, PersonByFlags, PersonHere, Terminal
from .watch import line, printable

Model = TypeVar("Model", bound=BaseModel)

SECONDS_MAX = 3600.0
USB_PARTS = 3
"""Colons of a USB address with the adapter's serial number: usb:VID:PID:SERIAL."""
_NAMES = {
    Kind.BLOOD_PRESSURE: "cuff",
    Kind.TEMPERATURE: "thermometer",
    Kind.PULSE_OXIMETRY: "oximeter",
    Kind.GLUCOSE: "glucose-meter",
    Kind.WEIGHT: "scale",
    Kind.ECG: "ekg",
    Kind.LAB: "analyzer",
}
_STEPS = {
    Step.WAITING: "Take a measurement on yourself now, not on a patient; it is a test, and goes nowhere. Waiting ...",
    Step.CONNECTED: "Connected.",
    Step.MEASURING: "Measuring ...",
}
_EMPTIED = "The device emptied its memory into this test, and none of it is charted: note by hand what is a patient's."
_NOT_BONDING = frozenset({BondFailure.NOT_IN_PAIRING_MODE, BondFailure.REFUSED})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, metavar="FILE")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--address", metavar="ADDRESS", help="a Bluetooth LE device; asked for if left out")
    where.add_argument("--port", metavar="PORT", help="a serial device, as the config writes it, or its present name")
    parser.add_argument("--driver", metavar="DRIVER", help="who reads it; needed where several could, or none is known")
    parser.add_argument("--name", metavar="NAME", help="what it is called from now on, such as cuff")
    parser.add_argument(
        "--baud", type=int, metavar="NUMBER", help="where it was set to another speed than its manual's"
    )
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="of the driver, in TOML")
    parser.add_argument("--passkey", metavar="DIGITS", help="the six digits, where nobody sits here to type or compare")
    parser.add_argument("--check-serial", action="store_true", help="refuses another device of the same kind later on")
    parser.add_argument("--bond", action="store_true", help="bonds also where neither driver nor device asks for it")
    parser.add_argument("--no-reading", action="store_true", help="does without the test reading")
    parser.add_argument("--all", action="store_true", help="shows devices too that no driver knows")
    parser.add_argument("--seconds", type=float, default=120.0, metavar="NUMBER", help="how long to wait for a reading")
    parser.add_argument("--json", action="store_true", help="what was done, as one object; asks nothing")


def run(args: argparse.Namespace) -> int:
    terminal = None if args.json or not Terminal.is_there() else Terminal()
    _check_flags(args, terminal)
    try:
        return asyncio.run(_Pair(args, terminal).run())
    except BondFailed as error:
        raise CommandError(_bond_words(error.reason, args, terminal)) from None
    except LinkLost as lost:
        raise CommandError(f"{lost.reason}: {REMEDIES[lost.reason][1]}") from None
    except Unidentifiable as error:
        raise CommandError(printable(str(error))) from None
    except (ConfigError, Unwritable) as error:
        raise CommandError(str(error), EX_CONFIG) from None


class _Pair:
    """One run. `terminal`: None where nobody is asked."""

    def __init__(self, args: argparse.Namespace, terminal: Terminal | None) -> None:
        self._args = args
        self._terminal = terminal
        self._console = terminal or Console()
        self._editor = ConfigEditor(args.config)
        self._editor.check_writable()
        self._said: set[Step] = set()

    async def run(self) -> int:
        args, clock = self._args, SystemClock()
        async with AsyncExitStack() as stack:
            radio: Radio | None = None
            if args.port is None:
                radio = await stack.enter_async_context(open_radio(self._editor.config.bluetooth, clock))
            found = await Chooser(args, self._editor.config, self._terminal, self._console, radio).choose()
            person = PersonHere(self._terminal) if self._terminal else PersonByFlags(args.passkey)
            device = self._table(found)
            attempt = Attempt(device, self._editor.config, radio, person=person, clock=clock, tell=self._tell)
            async with attempt:
                trial = await self._tried(attempt, found)
                name = await self._named(found.manifest)
                device = _with_serial(attempt.device, trial, always=self._args.check_serial)
                self._editor.add(name, device)
                attempt.keep()
        self._report(name, device, trial, bonded=attempt.has_bonded)
        return 0

    def _table(self, found: Found) -> DeviceConfig:
        """Raises CommandError, ConfigError for what the config could not hold."""
        config = self._editor.config
        for name, other in config.devices.items():
            if (other.address or other.port or "").casefold() == found.place.casefold():
                sentence = f"{printable(found.place)} is {name} here already; run: devicebridge unpair {name}"
                raise CommandError(sentence, EX_CONFIG)
        key = "port" if found.heard is None else "address"
        table = {
            "driver": found.manifest.id,
            key: found.place,
            "baud": self._args.baud,
            "options": dict(map(_option, self._args.option)),
        }
        device = _valid(DeviceConfig, table)
        _valid(load_driver(found.manifest.id).options, device.options)
        return device

    async def _tried(self, attempt: Attempt, found: Found) -> Trial | None:
        if found.heard is not None:
            await self._bond(attempt, found)
        if self._args.no_reading:
            return None
        trial = await self._reading(attempt)
        for text in _texts(trial):
            self._console.say(f"  {text}")
        if len(trial.payloads) > 1:
            self._console.say(_EMPTIED)
        if trial.skipped:
            self._console.say(
                f"{trial.skipped} older readings of its memory are left out, as the driver's options say."
            )
        if self._terminal and not await self._terminal.confirm("Is that what the device shows?"):
            raise CommandError("the reading was not the device's; nothing was changed; choose another device or driver")
        return trial

    async def _bond(self, attempt: Attempt, found: Found) -> None:
        assert found.heard is not None
        spec = found.manifest.gatt
        identity = needs_bond(found.heard)
        must = identity or self._args.bond or (spec is not None and spec.bond_required)
        if not (must or found.heard.pairing_mode):
            return
        self._console.say("Pairing ...")
        try:
            await attempt.bond(identity=identity)
        except BondFailed as error:
            if must or error.reason not in _NOT_BONDING:
                raise
            self._console.say("The device does not pair, and its driver does not ask for it. Going on.")
        else:
            self._console.say("Paired.")

    async def _reading(self, attempt: Attempt) -> Trial:
        while True:
            try:
                async with asyncio.timeout(self._args.seconds):
                    return await attempt.reading()
            except TimeoutError:
                sentence = f"no reading came within {self._args.seconds:g} s"
                if self._terminal and await self._terminal.confirm(f"{sentence.capitalize()}. Go on waiting?"):
                    continue
                raise CommandError(f"{sentence}; nothing was changed; try again, and measure when asked to") from None

    async def _named(self, manifest: Manifest) -> str:
        taken = self._editor.config.devices
        if self._args.name is not None:
            return _name(self._args.name, taken)
        assert self._terminal is not None
        proposal = _proposal(manifest, taken)
        while True:
            answer = await self._terminal.ask(f"Name of the device (Enter for {proposal}):")
            try:
                return _name(answer or proposal, taken)
            except CommandError as error:
                self._console.say(str(error))

    def _tell(self, step: Step) -> None:
        """Each step once: devices connect and hang up again and again."""
        if step not in self._said:
            self._said.add(step)
            self._console.say(_STEPS[step])

    def _report(self, name: str, device: DeviceConfig, trial: Trial | None, *, bonded: bool) -> None:
        args, answer = self._args, taken_up(self._editor.config.outbox.path)
        if args.json:
            table = device.model_dump(exclude_defaults=True, exclude_none=True, mode="json")
            readings = [json.loads(payload) for payload in trial.payloads] if trial else None
            done = {"name": name, "device": table, "bonded": bonded, "readings": readings}
            state = answer["state"] if answer else None
            print(json.dumps({**done, "daemon_running": answer is not None, "daemon_config": state}))
            return
        self._console.say(f"{name} is in {args.config}; the file as it was is {args.config}.bak.")
        if answer is None:
            self._console.say(f"Start it: devicebridge run -c {args.config}")
        elif answer["state"] == "current":
            self._console.say("The running daemon has taken it up.")
        else:
            for said in told(answer).splitlines():
                self._console.say(said)


def _check_flags(args: argparse.Namespace, terminal: Terminal | None) -> None:
    if not 0 < args.seconds <= SECONDS_MAX:
        raise CommandError(f"--seconds is a number above 0, up to {SECONDS_MAX:g}", EX_USAGE)
    if args.driver is not None:
        check_driver(args.driver, over_gatt=None if args.port is None and args.address is None else args.port is None)
    if args.address is not None:
        _valid(DeviceConfig, {"driver": "", "address": args.address})
    if args.passkey is not None and not (args.passkey.isascii() and args.passkey.isdigit() and len(args.passkey) == 6):
        raise CommandError("--passkey is the six digits that the device shows", EX_USAGE)
    if terminal is None:
        missing = [] if args.address or args.port else ["--address or --port"]
        missing += [] if args.name else ["--name"]
        if missing:
            raise CommandError(f"there is no terminal to ask at; give {' and '.join(missing)}", EX_USAGE)
    if args.name is not None:
        _name(args.name, ())


def _valid(model: type[Model], tree: Mapping[str, Any]) -> Model:
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where, (what, remedy) = ".".join(map(str, first["loc"])), explain(first, model, CONFIG_REMEDIES)
        raise CommandError(printable(f"{where}: {what}; {remedy}"), EX_USAGE) from None


def _name(word: str, taken: Mapping[str, object] | tuple[()]) -> str:
    try:
        name = str(TypeAdapter(Segment).validate_python(word))
    except ValidationError:
        rule = "a name is lower-case letters, digits and dashes, at most 40"
        raise CommandError(f'"{printable(word)[:40]}" cannot be a name; {rule}', EX_USAGE) from None
    if name in taken:
        raise CommandError(f'there is a device "{name}" already; choose another name', EX_USAGE)
    return name


def _proposal(manifest: Manifest, taken: Mapping[str, object]) -> str:
    stem = next((name for kind, name in _NAMES.items() if kind in manifest.kinds), manifest.id)
    numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (stem, *numbered) if name not in taken)


def _with_serial(device: DeviceConfig, trial: Trial | None, *, always: bool) -> DeviceConfig:
    """The device's own serial number is checked from now on, also where its cable has none to be known by."""
    serial = trial.identity.serial if trial else None
    if serial is None or not serial.isprintable() or len(serial) > DEVICE_TEXT_LIMIT:
        return device
    is_weak = device.port is not None and device.port.lower().startswith("usb:") and device.port.count(":") < USB_PARTS
    return device.model_copy(update={"serial": serial}) if always or is_weak else device


def _option(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    try:
        (found,) = tomllib.loads(f"value = {value}").values()
    except ValueError:
        raise CommandError(f"--option is KEY=VALUE, a text in quotes, not {printable(text)[:60]}", EX_USAGE) from None
    return key.strip(), found


def _texts(trial: Trial) -> list[str]:
    about = trial.identity
    words = [printable(word)[:64] for word in (about.manufacturer, about.model, about.serial) if word]
    said = [f"The device says it is: {' '.join(words)}"] if words else []
    return said + ([line(payload) for payload in trial.payloads] or ["It sends what it should."])


def _bond_words(reason: BondFailure, args: argparse.Namespace, terminal: Terminal | None) -> str:
    if reason is BondFailure.CANCELLED and terminal is None:
        given = "the digits given are not the device's" if args.passkey else "the device wants six digits"
        return f"{given}; give those that it shows with --passkey, or run this at a terminal"
    return BOND[reason]
