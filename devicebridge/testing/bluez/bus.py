"""A private D-Bus: a `dbus-daemon` of its own that lets everybody do everything, as no system bus would."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STOP_S = 5.0
_CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


def find_dbus_daemon() -> str | None:
    return shutil.which("dbus-daemon")


@contextmanager
def private_bus(folder: Path) -> Iterator[str]:
    """Runs one; gives what belongs into DBUS_SYSTEM_BUS_ADDRESS. Raises FileNotFoundError where none is installed.

    folder: short, a socket's path holds about a hundred characters.
    """
    program = find_dbus_daemon()
    if program is None:
        raise FileNotFoundError("dbus-daemon")
    config = folder / "dbus.conf"
    config.write_text(_CONFIG.format(socket=folder / "dbus"))
    command = [program, f"--config-file={config}", "--nofork", "--nopidfile", "--print-address"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()  # it listens by then
        finally:
            process.terminate()
            process.wait(STOP_S)
