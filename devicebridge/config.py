"""The configuration: one frozen tree, read from TOML. A typo is an error that names the nearest key."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

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

from . import private
from .mistakes import ConfigError, ConfigText, Location, Problem, misfit, problems
from .zone import is_zone

_SEGMENT = r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = rf"^({_LABEL}\.)*{_LABEL}\.?(:\d{{1,5}})?$|^\[[0-9a-fA-F:.]+\](:\d{{1,5}})?$"
_BLUETOOTH = r"^([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}$|^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
REMEDIES = {
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


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds a control character; type it again")
    return text


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
Text = Annotated[str, AfterValidator(_printable)]
BluetoothAddress = Annotated[str, Field(pattern=_BLUETOOTH)]


File = Annotated[Path, Field(strict=False), AfterValidator(_beside_the_config)]
"""Relative paths are relative to the config file."""


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", use_attribute_docstrings=True)


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
        if not is_zone(value):
            raise ValueError(f'"{value}" is not an IANA time zone; write one such as "America/Chicago"')
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
            given = "cert_file" if self.cert_file else "key_file"
            raise misfit("cert_file and key_file go together; give both or neither", given)
        return self


class BrokerConfig(_Table):
    """The MQTT broker or brokers."""

    addresses: tuple[Address, ...] = Field(min_length=1, max_length=8, strict=False)
    """"host" or "host:port", tried in order. The port is 8883 with TLS, 1883 without, unless given."""
    tls: TlsConfig | None = None
    """Leave out only for a broker on this PC or a trusted wire."""
    username: Text | None = None
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
            sentence = f"reserve_mib ({self.reserve_mib}) leaves nothing of max_mib ({self.max_mib}); lower reserve_mib"
            raise misfit(sentence, "reserve_mib" if "reserve_mib" in self.model_fields_set else "max_mib")
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


class EkgConfig(_Table):
    """What becomes of a device's EKG samples."""

    live: bool = True
    """Publish the running trace, at QoS 0, as it comes."""
    record: Literal["asked", "leads-on", "continuous"] = "asked"
    """"asked": only on `devicebridge ekg record`. "leads-on": one strip each time that the leads are put on and the
    signal is whole. "continuous": strip after strip."""
    seconds: float = Field(default=10, ge=1, le=300)
    """Length of a strip that is begun by itself; a shorter one where so many leads would make it too large a message: a
    minute of twelve leads at 500 Hz."""


class DeviceConfig(_Table):
    """One device. `driver` says who reads it; `port` or `address` says where it is."""

    driver: str
    port: Text | None = None
    """A serial device: "usb:VID:PID:SERIAL", a /dev/serial/by-id path, a built-in port, socket:// or rfc2217://."""
    address: BluetoothAddress | None = None
    """A Bluetooth LE device: its address, or on macOS the UUID that the system gave it."""
    serial: Text | None = None
    """The serial number that the device says it has: one that says another is refused. Where the device says none,
    this checks nothing."""
    baud: int | None = Field(default=None, ge=300, le=4_000_000)
    """Only where the device was set to another speed than its manual's."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The driver's own options; `devicebridge drivers` lists them."""
    ekg: EkgConfig = EkgConfig()
    """Only for devices with EKG leads."""

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
            sentence = 'bluetooth.radio is a simulated one; set simulated = true, or radio = "system"'
            raise misfit(sentence, "bluetooth", "radio")
        return self

    @model_validator(mode="after")
    def _one_file_each(self) -> Config:
        if self.log.file == self.outbox.path:
            raise misfit("log.file and outbox.path are one file; give each its own", "log", "file")
        return self

    @field_validator("devices")
    @classmethod
    def _one_device_a_place(cls, devices: dict[str, DeviceConfig]) -> dict[str, DeviceConfig]:
        taken: dict[str, str] = {}
        for name, device in devices.items():
            place = device.port or device.address or ""
            other = taken.setdefault(place.casefold(), name)
            if other != name:
                sentence = f'{other} and {name} are both at "{place}"; give each device its own place'
                raise misfit(sentence, name, "port" if device.port else "address")
        return devices


def load(path: Path) -> Config:
    """The tree of a config file. Raises ConfigError with every problem found, each with its line."""
    return parse(ConfigText.of(path).text, path)


def parse(text: str, path: Path) -> Config:
    """As `load`, of text already read; `path` is where relative paths start and what problems name."""
    source = ConfigText(path, text)
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError, or a number or a nesting beyond Python's limits
        message = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise ConfigError([source.not_toml(message)]) from None
    try:
        return Config.model_validate(tree, context={"base": path.absolute().parent})
    except ValidationError as error:
        raise ConfigError(problems(error, Config, source, remedies=REMEDIES)) from None


def exposed_secrets(config: Config, source: ConfigText) -> list[Problem]:
    """Secret files that others on this PC can read."""
    tls = config.broker.tls
    secrets: tuple[tuple[Location, Path | None], ...] = (
        (("broker", "password_file"), config.broker.password_file),
        (("broker", "tls", "key_file"), tls.key_file if tls else None),
    )
    return [
        Problem(source.place(location), f"{path} can be read by others", private.remedy(path))
        for location, path in secrets
        if path and private.others_can_read(path)
    ]


def _endpoint(address: str, default_port: int) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or host.endswith(":") or address.endswith("]"):
        return address.strip("[]"), default_port
    return host.strip("[]"), int(port)
