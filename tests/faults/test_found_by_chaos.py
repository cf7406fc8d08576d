"""What the chaos rig has found, each as the small scenario behind it."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

from devicebridge.sdk import ByteLink, LinkLost, Loss, Options, Outlet
from devicebridge_drivers.astm import DRIVER as ASTM
from devicebridge_drivers.astm.session import ENQUIRY_WITHIN_S, AstmOptions
from devicebridge_simulators.astm import ACK, ENQ, EOT, dca, frame_each
from support import incarnation
from support.asked import Asked, Kept, run
from support.incarnation import Incarnation, JumpingClock, SimScale
from support.virtual_time import run as run_in_virtual_time
from support.waiting import until

NOISE = b"\x8f\x05\x33\xf1"
"""With an ENQ in it."""
HBA1C = frame_each(dca([("HbA1c", "7.2", "%")]))


def listening() -> Asked:
    return Asked(lambda request: ())


def test_f02_an_enq_in_the_noise_before_a_transfer_gives_no_second_acknowledgement() -> None:
    """The second was taken for that of the frame, which the noise had ruined: the analyzer forgot the result."""
    line, kept = listening(), Kept()
    line.send(NOISE, ENQ, None)
    run(ASTM, line, kept)
    assert line.written == [ACK]


def test_f02_an_enq_in_the_noise_between_two_frames_is_not_acknowledged() -> None:
    line, kept = listening(), Kept()
    line.send(ENQ, HBA1C[0], b"\x05", *HBA1C[1:], EOT, None)
    run(ASTM, line, kept)
    assert line.written == [ACK] * (1 + len(HBA1C))
    assert kept.numbers == [["7.2"]]


def test_f02_a_sender_that_begins_anew_is_answered() -> None:
    async def sender() -> list[bytes]:
        line = listening()
        session = asyncio.create_task(ASTM.session(line, Kept(), AstmOptions()))
        line.send(ENQ, EOT, ENQ)
        await asyncio.sleep(ENQUIRY_WITHIN_S)
        line.send(ENQ)
        await asyncio.sleep(1)
        session.cancel()
        await asyncio.wait({session})
        return line.written

    assert run_in_virtual_time(sender()) == [ACK, ACK, ACK]


def test_f51_a_session_that_ends_otherwise_while_the_daemon_stops_is_nobodys_unhandled_error(tmp_path: Path) -> None:
    """It was logged as an error of the program's, at each stop that met a lost link."""

    async def stop() -> list[dict[str, Any]]:
        unhandled: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        scale = SimScale("scale")
        daemon = Incarnation(tmp_path, [scale], 9, JumpingClock(), replace(incarnation.DRIVER, session=loses))
        await daemon.start()
        await until(lambda: scale.wire)
        await daemon.stop()
        del daemon
        gc.collect()
        return unhandled

    async def loses(link: ByteLink, outlet: Outlet, options: Options) -> None:
        try:
            await link.read()
        except asyncio.CancelledError:
            raise LinkLost(Loss.UNPLUGGED) from None

    assert asyncio.run(stop()) == []
