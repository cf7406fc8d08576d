"""Before a cuff is inflated by us, which only an option of the site allows."""

from __future__ import annotations

import asyncio

from .outlet import Outlet

START_PAUSE_S = 300
"""We start a cuff no more often: a line that comes and goes must not squeeze an arm again and again."""

_KEY = "cuff-started"


async def may_start(outlet: Outlet) -> bool:
    """Whether it is long enough since this last said yes, whatever connections and restarts lie between. Remembered
    before it answers, so that a start which fails is not tried again at once."""
    now_s = int(asyncio.get_running_loop().time())
    then = await outlet.recall(_KEY)
    if then is not None and 0 <= now_s - int(then) < START_PAUSE_S:  # below zero: the PC was started anew
        return False
    await outlet.remember(_KEY, str(now_s))
    return True
