"""A package of ill-mannered drivers, installed in a folder of its own: they hang, spin, call exit, or tell secrets."""

from __future__ import annotations

from pathlib import Path

MODULE = """
import asyncio, sys
from devicebridge.sdk import *

async def hangs(link, outlet, options):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

async def spins(link, outlet, options):
    await link.read()
    while True:
        pass

async def exits(link, outlet, options):
    await link.read()
    sys.exit(0)

async def tells(link, outlet, options):
    await link.read()
    raise ValueError("PATIENT JANE DOE")

async def tells_late(link, outlet, options):
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(0.7)
        raise ValueError("PATIENT JANE DOE")

def driver(name, session):
    manifest = Manifest(id=name, title=name, kinds=frozenset({Kind.WEIGHT}), models=(), links=(SerialSpec(baud=9600),),
                        clock=DeviceClockKind.NONE, rhythm=Rhythm())
    return Driver(manifest=manifest, options=Options, session=session, codec=lambda *_: None)

HANGS, SPINS, EXITS = driver("hangs", hangs), driver("spins", spins), driver("exits", exits)
TELLS, TELLS_LATE = driver("tells", tells), driver("tells-late", tells_late)
"""
ENTRY_POINTS = """\
[devicebridge.drivers]
hangs = rude:HANGS
spins = rude:SPINS
exits = rude:EXITS
tells = rude:TELLS
tells-late = rude:TELLS_LATE
"""


def install(folder: Path) -> Path:
    """The folder to put on PYTHONPATH."""
    site = folder / "rude-site"
    info = site / "rude-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "rude.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rude\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return site
