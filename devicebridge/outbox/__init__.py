"""The durable outbox: every reading rests on this PC's disk from before the device is told until well after the broker
took it. The only package that imports sqlite3.

    outbox = Outbox(path, max_bytes=..., reserve_bytes=..., keep_s=..., clock=clock)
    report = await outbox.open()          # OpenReport: created, migrated, recovered, rows missing
    await outbox.put([Entry(...), ...])   # one group, on disk when it returns; OutboxFull, OutboxFailed
    await outbox.close()
"""

from .model import LANE_BYTES, Entry, Fault, OpenReport, OutboxFailed, OutboxFull, Row, State, Stats
from .outbox import Outbox
from .store import read_only_rows

__all__ = [
    "LANE_BYTES",
    "Entry",
    "Fault",
    "OpenReport",
    "Outbox",
    "OutboxFailed",
    "OutboxFull",
    "Row",
    "State",
    "Stats",
    "read_only_rows",
]
