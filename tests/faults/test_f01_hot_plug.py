"""F01: a port that goes and returns is back in use within two seconds of its return, however long it was away.

The supervisor, the serial link, the driver, the outbox and the line are real; only the pauses between two tries are the
test's, so that a night passes in no time. What opening and reading really take is measured and counted in.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from devicebridge import registry
from devicebridge.health import DeviceState
from devicebridge.sdk import Loss
from devicebridge.sdk.simulation import SerialScenario, SerialSimulator
from devicebridge.testing.serial_host import End, SerialHost, serve_pty, serve_tcp
from support.clock import Longest, ManualClock
from support.supervised import Supervised
from support.waiting import until

BACK_IN_USE_S = 2.0
SHOWN_S = 2.0
DRIVER = "nonin"


def scenario() -> SerialScenario:
    simulator = registry.simulator(DRIVER)
    assert isinstance(simulator, SerialSimulator)
    return simulator.scenarios["spot"]


class TcpCable:
    """A device server's port: nobody listens there while the device is away."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._number = free.getsockname()[1]
        self.port = f"socket://127.0.0.1:{self._number}"

    def plug(self) -> AbstractAsyncContextManager[SerialHost]:
        return serve_tcp(scenario(), end=End.STAY, port=self._number)

    def plugged(self, host: SerialHost) -> None:
        assert host.port == self.port


class PtyCable:
    """A device path, as udev makes them: it is not there while the device is away."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ttyUSB0"
        self.port = str(self._path)

    def plug(self) -> AbstractAsyncContextManager[SerialHost]:
        return serve_pty(scenario(), end=End.STAY)

    def plugged(self, host: SerialHost) -> None:
        self._path.unlink(missing_ok=True)
        self._path.symlink_to(host.port)


CABLES = [
    pytest.param(TcpCable, id="tcp"),
    pytest.param(PtyCable, id="pty", marks=pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")),
]


class Rig(Supervised):
    """The waits between its tries are the longest that chance may give."""

    def __init__(self, folder: Path, port: str) -> None:
        self.clock = ManualClock()
        super().__init__(folder, DRIVER, port, self.clock, Longest())

    async def try_again(self) -> float:
        """Lets the pause go by in which the supervisor is; how long it was."""
        tries = len(self.clock.slept)
        pause_s = self.clock.slept[-1]
        self.clock.advance(pause_s)
        await until(lambda: len(self.clock.slept) > tries)
        return pause_s


@pytest.mark.parametrize("cable_type", CABLES)
@pytest.mark.parametrize("failures", [0, 1, 60])
def test_f01_a_port_is_in_use_within_two_seconds_of_its_return(
    cable_type: type[TcpCable | PtyCable], failures: int, tmp_path: Path
) -> None:
    """It returns at the worst moment: when a try has just failed."""

    async def run() -> None:
        cable = cable_type(tmp_path)
        async with Rig(tmp_path, cable.port) as rig:
            await until(lambda: rig.clock.slept)  # the first try has failed: nothing was plugged in yet
            for plugs in range(1, 4):
                async with cable.plug() as host:
                    cable.plugged(host)
                    pause_s, began_s = rig.clock.slept[-1], time.monotonic()
                    tries = len(rig.clock.slept)
                    rig.clock.advance(pause_s)
                    await until(lambda: rig.readings == plugs)  # noqa: B023 - awaited at once
                    assert pause_s + time.monotonic() - began_s < BACK_IN_USE_S
                    assert rig.health.state is DeviceState.OK
                began_s = time.monotonic()
                await until(lambda: len(rig.clock.slept) > tries)  # noqa: B023
                assert rig.health.state is not DeviceState.OK
                assert time.monotonic() - began_s < SHOWN_S
                for _ in range(failures):
                    await rig.try_again()
                    assert (rig.health.state, rig.health.reason) == (DeviceState.LOST, Loss.NOT_FOUND)

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("cable_type", CABLES)
def test_f50_a_port_that_stays_away_is_logged_once(cable_type: type[TcpCable | PtyCable], tmp_path: Path) -> None:
    async def run() -> None:
        async with Rig(tmp_path, cable_type(tmp_path).port) as rig:
            await until(lambda: rig.clock.slept)
            lines = rig.log_lines()
            for _ in range(100):
                await rig.try_again()
            assert rig.log_lines() == lines

    asyncio.run(asyncio.wait_for(run(), 60))
