"""What the control endpoint answers, and whom. Imported at the first request; see `listen`.

Every request carries the token of a file that only the service's user can read; Host and Origin are checked, so that
no web page can reach it by a name of its own (DNS rebinding) or from another origin.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .. import readings
from ..ekg.recording import SECONDS_MAX, RecordingFailed
from ..outbox import State
from ..words import UNRECORDED
from .client import TOKEN_HEADER
from .devices import all_devices, config_answer
from .rows import EXPORT_ROWS, LIST_LIMIT, instant, row_summary

if TYPE_CHECKING:
    from ..app import Daemon

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class BadRequest(Exception):
    """One sentence for the person who asked."""


def make_server(daemon: Daemon, token: str) -> web.Server:
    """The protocol factory for the listening socket. Bodies are bounded by aiohttp (1 MiB)."""
    endpoint = _Endpoint(daemon)
    routes: Mapping[tuple[str, str], Handler] = {
        ("GET", "/v1/status"): endpoint.status,
        ("GET", "/v1/devices"): endpoint.devices,
        ("POST", "/v1/reload"): endpoint.reload,
        ("GET", "/v1/outbox"): endpoint.list_rows,
        ("GET", "/v1/outbox/export"): endpoint.export,
        ("POST", "/v1/outbox/resend"): endpoint.resend,
        ("POST", "/v1/outbox/park"): endpoint.park,
        ("POST", "/v1/ekg/record"): endpoint.record,
    }

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        host = request.host.rpartition(":")[0] or request.host
        if host not in ("127.0.0.1", "localhost") or "Origin" in request.headers:
            return web.Response(status=403, text="only for programs on this PC")
        if not secrets.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), token.encode()):
            return web.Response(status=401, text="the token is missing or wrong")
        handler = routes.get((request.method, request.path))
        if handler is None:
            return web.Response(status=404, text="there is nothing of that name")
        try:
            return await handler(request)
        except BadRequest as error:
            return web.Response(status=400, text=str(error))

    return web.Server(handle, access_log=None)


class _Endpoint:
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def status(self, _request: web.BaseRequest) -> web.Response:
        self._daemon.settle()
        devices = {name: self._daemon.device_status(name) for name in self._daemon.fleet.healths}
        return _answer({"room": await self._daemon.room_status(), "devices": devices})

    async def devices(self, _request: web.BaseRequest) -> web.Response:
        return _answer(await all_devices(self._daemon))

    async def reload(self, _request: web.BaseRequest) -> web.Response:
        """The config file is read now."""
        return _answer(config_answer(await self._daemon.reload()))

    async def list_rows(self, request: web.BaseRequest) -> web.Response:
        rows = await self._daemon.outbox.rows(state=_state(request), limit=_limit(request))
        return _answer([row_summary(row) for row in rows])

    async def export(self, request: web.BaseRequest) -> web.StreamResponse:
        """Readings as they were or will be published, one JSON object a line."""
        since, until = _instant(request.query.get("since")), _instant(request.query.get("until"))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        after_seq = 0
        while rows := await self._daemon.outbox.rows(
            state=_state(request), limit=EXPORT_ROWS, after_seq=after_seq, since=since, until=until
        ):
            await response.write(b"".join(row.payload + b"\n" for row in rows))
            after_seq = rows[-1].seq
        return response

    async def resend(self, request: web.BaseRequest) -> web.Response:
        """{"seqs": [...]} or {"since": ..., "until": ...}: those rows go out again, with the same ids."""
        body = await _body(request)
        seqs, since, until = _seqs(body), _instant(body.get("since")), _instant(body.get("until"))
        if (seqs is None) == (since is None) or (seqs is not None and until is not None):
            raise BadRequest("say which readings: by number, or since when")
        count = await self._daemon.outbox.resend(seqs=seqs or (), since=since, until=until)
        return _answer({"resent": count})

    async def park(self, request: web.BaseRequest) -> web.Response:
        """{"seqs": [...]}: those rows are kept and not sent."""
        seqs = _seqs(await _body(request))
        if seqs is None:
            raise BadRequest("say which readings, by number")
        return _answer({"parked": await self._daemon.outbox.park(seqs, "operator")})

    async def record(self, request: web.BaseRequest) -> web.Response:
        """{"device", "seconds"}: answers when the strip is on disk, with its facts and no sample."""
        body = await _body(request)
        device, seconds = body.get("device"), body.get("seconds")
        channel = self._daemon.ekg(device) if isinstance(device, str) else None
        if channel is None:
            raise BadRequest("there is no EKG device of that name; `devicebridge devices` lists them")
        if not isinstance(seconds, int | float) or not 1 <= seconds <= SECONDS_MAX:
            raise BadRequest(f"a strip has from 1 to {SECONDS_MAX} seconds")
        try:
            recording, recorded = await channel.record(seconds)
        except RecordingFailed as failed:
            raise BadRequest(UNRECORDED[failed.why]) from None
        facts = {"id": recorded.id, "measured_at": recorded.measured_at, "leads": recording.format.leads}
        return _answer(facts | {"count": recording.count, "missing": recording.missing})


def _answer(tree: Any) -> web.Response:
    return web.Response(text=readings.to_json({"answer": tree}), content_type="application/json")


async def _body(request: web.BaseRequest) -> Mapping[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        raise BadRequest("the request is not JSON") from None
    if not isinstance(body, dict):
        raise BadRequest("the request is not a JSON object")
    return body


def _seqs(body: Mapping[str, Any]) -> list[int] | None:
    seqs = body.get("seqs")
    if seqs is None:
        return None
    if not isinstance(seqs, list) or not all(isinstance(s, int) and 0 < s < 1 << 63 for s in seqs):
        raise BadRequest("seqs is a list of row numbers")
    return seqs


def _instant(text: Any) -> datetime | None:
    if text is None:
        return None
    try:
        return instant(str(text))
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _state(request: web.BaseRequest) -> State | None:
    word = request.query.get("state")
    if word is None:
        return None
    try:
        return State[word.upper()]
    except KeyError:
        raise BadRequest("state is pending, sent or parked") from None


def _limit(request: web.BaseRequest) -> int:
    word = request.query.get("limit", "100")
    if not (word.isascii() and word.isdigit() and 0 < int(word) <= LIST_LIMIT):
        raise BadRequest(f"limit is a number from 1 to {LIST_LIMIT}")
    return int(word)
