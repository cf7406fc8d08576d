"""The configuration: one frozen tree, read from TOML. A typo is an error that names the nearest key."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

_SEGMENT = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = rf"^({_LABEL}\.)*{_LABEL}\.?(:\d{{1,5}})?$|^\[[0-9a-fA-F:.]+\](:\d{{1,5}})?$"
_BLUETOOTH = r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$|^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_REMEDIES = {
    _SEGMENT: "use lower-case letters, digits and dashes, at most 40",
    _ADDRESS: 'write "host" or "host:port"',
    _BLUETOOTH: "write it as C0:26:DA:01:02:03; on macOS the UUID that the system gave the device",
}
"""By the pattern that did not match."""


def _reachable(address: str) -> str:
    host, port = _endpoint(address, 1)
    if not 1 <= port <= 65_535:
        raise ValueError(f"{port} is no port; write one from 1 to 65535")
    if address.startswith("["):
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f'"{host}" is no IPv6 address; write one such as [fd00::1]') from None
    return address


def _beside_the_config(path: Path, info: ValidationInfo) -> Path:
    if "\0" in str(path):
        raise ValueError("a path cannot hold a null character; write the path of a file")
    try:
        expanded = path.expanduser()
    except RuntimeError:
        raise ValueError(f'the home folder of "{path}" is not known; write the whole path') from None
    base = (info.context or {}).get("base")
    return base / expanded if base else expanded


Segment = Annotated[str, Field(pattern=_SEGMENT)]
Address = Annotated[str, Field(pattern=_ADDRESS), AfterValidator(_reachable)]
BluetoothAddress = Annotated[str, Field(pattern=_BLUETOOTH)]


File = Annotated[Path, AfterValidator(_beside_the_config)]
"""Relative paths are relative to the config file."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SiteConfig(_Table):
    """Where this PC stands. The two ids become topic segments: lower-case letters, digits and dashes."""

    id: Segment
    """The clinic, for example "main-street"."""
    room: Segment
    """The room, for example "exam-3"."""
    timezone: str
    """The IANA zone of the devices' clocks, for example "America/Chicago"."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f'"{value}" is not an IANA time zone; write one such as "America/Chicago"') from None
        return value


class TlsConfig(_Table):
    """TLS to the broker. There is no way to switch verification off."""

    ca_file: File | None = None
    """The authority that signed the broker's certificate; the system's authorities if left out."""
    cert_file: File | None = None
    """This PC's own certificate, where the broker asks for one."""
    key_file: File | None = None
    """The key of `cert_file`; readable by the service's user only."""

    @model_validator(mode="after")
    def _pair(self) -> TlsConfig:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together; give both or neither")
        return self


class BrokerConfig(_Table):
    """The MQTT broker or brokers."""

    addresses: tuple[Address, ...] = Field(min_length=1, max_length=8)
    """"host" or "host:port", tried in order. The port is 8883 with TLS, 1883 without, unless given."""
    tls: TlsConfig | None = None
    """Leave out only for a broker on this PC or a trusted wire."""
    username: str | None = None
    password_file: File | None = None
    """A file that holds the password and nothing else, readable by the service's user only."""
    client_id: Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,23}$")] | None = None
    """Unique to this PC; made from the outbox's own id if left out."""
    protocol: Literal["5", "3.1.1"] = "5"
    """With 3.1.1 a broker answers "success" to messages it throws away: choose it only where there is no other."""
    window: int = Field(default=20, ge=1, le=1000)
    """Readings in flight at once, at the most; the broker may ask for fewer."""
    keepalive_s: int = Field(default=15, ge=5, le=300)
    connect_timeout_s: float = Field(default=10, gt=0, le=60)
    ack_timeout_s: float = Field(default=30, gt=0, le=300)
    """A reading without an answer for this long means the connection is dead."""

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """(host, port) of each address."""
        return tuple(_endpoint(a, 8883 if self.tls else 1883) for a in self.addresses)


class OutboxConfig(_Table):
    """The readings kept on this PC's disk."""

    path: File
    """The database file, on a local disk."""
    max_mib: int = Field(default=512, ge=8, le=1024 * 64)
    """No more than this; new readings are refused, and the device told so, rather than old ones dropped."""
    reserve_mib: int = Field(default=16, ge=1, le=1024)
    """Set aside for working on when the disk is full."""
    keep_days: float = Field(default=7, ge=0, le=365)
    """How long readings stay after the broker took them, so that they can be sent again."""

    @model_validator(mode="after")
    def _room_beside_the_reserve(self) -> OutboxConfig:
        if self.reserve_mib >= self.max_mib:
            raise ValueError(
                f"reserve_mib ({self.reserve_mib}) leaves nothing of max_mib ({self.max_mib}); lower reserve_mib"
            )
        return self


class ControlConfig(_Table):
    """The local control endpoint that the commands talk to, on loopback only."""

    port: int = Field(default=8417, ge=0, le=65535)
    """0 takes any free port."""


class LogConfig(_Table):
    level: Literal["debug", "info", "warning", "error"] = "info"
    file: File | None = None
    """JSON lines, rotated; standard error if left out."""
    max_mib: int = Field(default=10, ge=1, le=1024)
    files: int = Field(default=5, ge=1, le=100)


class BluetoothConfig(_Table):
    radio: str = "system"
    """"system", or the name of an installed simulated radio (only with `simulated = true`)."""
    radio_address: str = ""
    """Where the simulated radio is reached."""
    adapter: str | None = None
    """The adapter, where there is more than one: "hci0" on Linux."""


class DeviceConfig(_Table):
    """One device. `driver` says who reads it; `port` or `address` says where it is."""

    driver: str
    port: str | None = None
    """A serial device: "usb:VID:PID:SERIAL", a /dev/serial/by-id path, a built-in port, socket:// or rfc2217://."""
    address: BluetoothAddress | None = None
    """A Bluetooth LE device: its address, or on macOS the UUID that the system gave it."""
    baud: int | None = Field(default=None, ge=300, le=4_000_000)
    """Only where the device was set to another speed than its manual's."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The driver's own options; `devicebridge drivers` lists them."""

    @model_validator(mode="after")
    def _one_place(self) -> DeviceConfig:
        if (self.port is None) == (self.address is None):
            raise ValueError("give either port (serial) or address (Bluetooth LE)")
        return self


class Config(_Table):
    """The whole file."""

    site: SiteConfig
    broker: BrokerConfig
    outbox: OutboxConfig
    control: ControlConfig = ControlConfig()
    log: LogConfig = LogConfig()
    bluetooth: BluetoothConfig = BluetoothConfig()
    simulated: bool = False
    """Marks every reading as simulated and allows simulated links. Never set it where patients are."""
    devices: dict[Segment, DeviceConfig] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _no_simulation_unless_said(self) -> Config:
        if self.bluetooth.radio != "system" and not self.simulated:
            raise ValueError('bluetooth.radio is a simulated one; set simulated = true, or radio = "system"')
        return self

    @model_validator(mode="after")
    def _one_file_each(self) -> Config:
        if self.log.file == self.outbox.path:
            raise ValueError("log.file and outbox.path are one file; give each its own")
        return self

    @field_validator("devices")
    @classmethod
    def _one_device_a_place(cls, devices: dict[str, DeviceConfig]) -> dict[str, DeviceConfig]:
        taken: dict[str, str] = {}
        for name, device in devices.items():
            place = device.port or device.address or ""
            other = taken.setdefault(place.casefold(), name)
            if other != name:
                raise ValueError(f'{other} and {name} are both at "{place}"; give each device its own place')
        return devices


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, what, and what to do about it."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.remedy}"


class ConfigError(Exception):
    """The configuration cannot be used. `problems` says why, one sentence each."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def load(path: Path) -> Config:
    """Reads and checks a config file. Raises ConfigError with every problem found, each with its line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # Windows' own editors write a byte order mark
    except OSError as error:
        remedy = "name the config file with -c FILE"
        raise ConfigError([Problem(str(path), f"cannot be read ({error.strerror})", remedy)]) from None
    except UnicodeDecodeError:
        raise ConfigError([Problem(str(path), "is not UTF-8 text", "save it as UTF-8")]) from None
    return parse(text, path)


def parse(text: str, path: Path) -> Config:
    """As `load`, of text already read; `path` is where relative paths start and what problems name."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem(str(path), f"is not TOML: {error}", "mend that line")]) from None
    except (ValueError, RecursionError):
        raise ConfigError([Problem(str(path), "is not TOML", "start again from the example")]) from None
    try:
        return Config.model_validate(tree, context={"base": path.absolute().parent})
    except ValidationError as error:
        raise ConfigError(problems(error, Config, text, str(path))) from None


def problems(
    error: ValidationError, model: type[BaseModel], text: str, file: str, prefix: tuple[str | int, ...] = ()
) -> list[Problem]:
    """A validation error in sentences. `prefix` is where `model` stands in the file."""
    found = []
    items = error.errors(include_url=False, include_context=True)
    for item in items:
        if item["type"] == "too_short" and any(item["loc"] == other["loc"][:-1] for other in items):
            continue  # only because none of its items is right, which is said of each
        location = prefix + item["loc"]
        line = _line_of(text, location)
        where = f"{file}:{line}: {_dotted(location)}" if line else f"{file}: {_dotted(location)}"
        found.append(Problem(where, *_explain(item, model)))
    return found


def exposed_secrets(config: Config) -> list[Problem]:
    """Secret files that others on this PC can read. On Windows the folder's access list is the guard."""
    if os.name == "nt":
        return []
    tls = config.broker.tls
    secrets = (("broker.password_file", config.broker.password_file), ("broker.tls.key_file", tls and tls.key_file))
    found = []
    for where, path in secrets:
        if path and _others_can_read(path):
            found.append(Problem(where, f"{path} can be read by others", f"run: chmod 600 {path}"))
    return found


def _others_can_read(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False  # that it cannot be read is for whoever needs it to say
    return stat.S_ISREG(mode) and bool(mode & (stat.S_IRWXG | stat.S_IRWXO))


def _explain(item: Mapping[str, Any], model: type[BaseModel]) -> tuple[str, str]:
    kind, location = item["type"], item["loc"]
    if kind == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        return "unknown key", f'did you mean "{near[0]}"?' if near else f"known keys are {', '.join(known)}"
    if kind == "missing":
        return "is missing", "add it"
    if kind == "string_pattern_mismatch":
        pattern = item["ctx"]["pattern"]
        return f"{_shown(item)} is not allowed here", _REMEDIES.get(pattern, f"it must match {pattern}")
    if kind == "value_error":
        what, _, remedy = str(item["ctx"]["error"]).partition("; ")
        return what, remedy or "mend it"
    return f"{_shown(item)}: {item['msg'][:1].lower()}{item['msg'][1:]}", "mend it"


def _shown(item: Mapping[str, Any]) -> str:
    value = item.get("input")
    return f'"{value}"'[:60] if isinstance(value, str | int | float | bool) else "the value"


def _keys_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The keys that the table at `location` may hold."""
    current: Any = model
    for step in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(step))
            annotation = field.annotation if field else None
            current = annotation if get_origin(annotation) is dict else _table_type(annotation)
        else:
            current = _table_type(current)
    if isinstance(current, type) and issubclass(current, BaseModel):
        return sorted(current.model_fields)
    return []


def _table_type(annotation: Any) -> Any:
    """The model inside `Model | None` or `dict[str, Model]`, else the annotation."""
    candidates = [annotation, *get_args(annotation)]
    models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
    return models[0] if models else annotation


def _dotted(location: tuple[str | int, ...]) -> str:
    return ".".join(map(str, location)) or "the file"


def _line_of(text: str, location: tuple[str | int, ...]) -> int | None:
    """The line a key stands in, or its table begins in; a reading aid, so plain tables only."""
    wanted = [str(step) for step in location]
    best: int | None = None
    for number, path in _keys_by_line(text):
        if path == wanted:
            return number
        if path and path == wanted[: len(path)]:
            best = number
    return best


def _keys_by_line(text: str) -> Iterator[tuple[int, list[str]]]:
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?([^\]]+)\]", line):
            table = [part.strip().strip("\"'") for part in header[1].split(".")]
            yield number, table
        elif key := re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line):
            yield number, [*table, *(part.strip("\"'") for part in key[1].split("."))]


def _endpoint(address: str, default_port: int) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or host.endswith(":") or address.endswith("]"):
        return address.strip("[]"), default_port
    return host.strip("[]"), int(port)
