"""How the commands ask the daemon: plain HTTP to loopback, with the token of its file."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

FILE_NAME = "control.json"
"""Beside the outbox: {"port", "token"}."""
TOKEN_HEADER = "X-Devicebridge-Token"
TIMEOUT_S = 10.0


class DaemonAbsent(Exception):
    """No daemon answers for this config."""


class DaemonRefused(Exception):
    """The daemon's own sentence."""


class Client:
    """Talks to the daemon whose outbox lies in `folder`. Raises DaemonAbsent where none runs."""

    def __init__(self, folder: Path) -> None:
        try:
            found = json.loads((folder / FILE_NAME).read_text())
            self._base, self._token = f"http://127.0.0.1:{int(found['port'])}", str(found["token"])
        except (OSError, ValueError, KeyError):
            raise DaemonAbsent from None
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, **query: str | int | None) -> Any:
        with self._request(path, query) as response:
            return json.load(response)["answer"]

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        with self._request(path, {}, json.dumps(body).encode()) as response:
            return json.load(response)["answer"]

    def lines(self, path: str, **query: str | int | None) -> Iterator[str]:
        with self._request(path, query) as response:
            for line in response:
                yield line.decode().rstrip("\n")

    def _request(self, path: str, query: Mapping[str, Any], body: bytes | None = None) -> Any:
        given = {key: value for key, value in query.items() if value is not None}
        url = f"{self._base}{path}" + (f"?{urlencode(given)}" if given else "")
        request = urllib.request.Request(url, data=body, headers={TOKEN_HEADER: self._token})
        try:
            return self._opener.open(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            raise DaemonRefused(error.read(500).decode(errors="replace")) from None
        except OSError:
            raise DaemonAbsent from None
