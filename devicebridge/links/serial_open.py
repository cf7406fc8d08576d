"""Opens a pyserial port and puts its errors into our words. What pyserial does badly is mended here."""

from __future__ import annotations

import errno
import re
import socket
from typing import Protocol

import serial
from serial.urlhandler import protocol_socket

from ..sdk.driver import SerialSpec
from ..sdk.links import Loss

CHUNK_BYTES = 4_096  # one read: what an operating system keeps for a serial line
READ_WAKE_S = 0.25
"""How often a reading thread looks whether it should end; pyserial can cancel only some ports. Closing waits so long.
This is most of what an idle daemon costs: at 0.1 s eight ports took 0.4 % of a core."""
WRITE_TIMEOUT_S = 5.0  # a command is some bytes, which leave in milliseconds even at 300 baud

_ERRNO = {
    errno.ENOENT: Loss.NOT_FOUND,
    errno.ENODEV: Loss.NOT_FOUND,
    errno.ENXIO: Loss.NOT_FOUND,
    errno.EIO: Loss.NOT_FOUND,  # a /dev/ttyS without hardware
    errno.ECONNREFUSED: Loss.NOT_FOUND,
    errno.EACCES: Loss.DENIED,
    errno.EPERM: Loss.DENIED,
    errno.EBUSY: Loss.BUSY,
    errno.EAGAIN: Loss.BUSY,  # another program holds the lock
    errno.ETIMEDOUT: Loss.OUT_OF_REACH,
    errno.EHOSTUNREACH: Loss.OUT_OF_REACH,
    errno.ENETUNREACH: Loss.OUT_OF_REACH,
}
_WINERROR = {
    2: Loss.NOT_FOUND,
    3: Loss.NOT_FOUND,
    5: Loss.BUSY,  # "access denied" is how Windows says that another program has the port
    32: Loss.BUSY,
    121: Loss.OUT_OF_REACH,  # a Bluetooth serial port whose device is away
    1167: Loss.NOT_FOUND,
}
_WINERROR_TEXT = re.compile(r"None, (\d+)\)")  # pyserial keeps Windows' error number in its message only


class Port(Protocol):
    """What the link uses of a pyserial port."""

    @property
    def in_waiting(self) -> int: ...

    def read(self, size: int, /) -> bytes: ...

    def write(self, data: bytes, /) -> int | None: ...

    def close(self) -> None: ...


class TcpPort(protocol_socket.Serial):
    """pyserial's socket:// port, which it would read bytewise, would empty on opening, and would leak on closing."""

    _socket: socket.socket | None

    @property
    def in_waiting(self) -> int:
        if not super().in_waiting or self._socket is None:
            return 0
        return len(self._socket.recv(CHUNK_BYTES, socket.MSG_PEEK))

    def reset_input_buffer(self) -> None:
        """Keeps what a device said right after the connection was made: nothing older can be there."""

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
        self.is_open = False


def open_port(target: str, spec: SerialSpec, baud: int) -> Port:
    """Opens a device path or URL with the line settings of `spec`, exclusively where the system can. Blocks.

    Settings cannot be changed later: a pseudo-terminal refuses that when parity is on.
    """
    is_url = "://" in target
    make = TcpPort if target.startswith("socket://") else serial.serial_for_url
    return make(
        target,
        baudrate=baud,
        bytesize=spec.data_bits,
        parity=spec.parity.value,
        stopbits=spec.stop_bits,
        timeout=READ_WAKE_S,
        write_timeout=None if target.startswith("rfc2217://") else WRITE_TIMEOUT_S,
        exclusive=None if is_url else True,
    )


def loss_at_open(error: BaseException | None) -> Loss:
    """Why a port did not open: the first known reason along the chain of errors."""
    while error is not None:
        reason = _reason(error)
        if reason:
            return reason
        error = error.__cause__ or error.__context__
    return Loss.FAILED


def _reason(error: BaseException) -> Loss | None:
    if isinstance(error, socket.gaierror):
        return Loss.NOT_FOUND
    if isinstance(error, TimeoutError):
        return Loss.OUT_OF_REACH
    number = error.args[0] if error.args and isinstance(error.args[0], int) else None
    windows = _WINERROR_TEXT.search(str(error))
    return _ERRNO.get(number) if number else _WINERROR.get(int(windows[1])) if windows else None
