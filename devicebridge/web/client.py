"""How the commands ask the daemon: plain HTTP to loopback, with the token of its file."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

TOKEN_HEADER = "X-Devicebridge-Token"
TIMEOUT_S = 10.0
FILE_MAX_BYTES = 1000
"""The daemon's file holds a number and a token; a longer one is not its own."""


class DaemonAbsent(Exception):
    """No daemon answers for this config."""


class DaemonSlow(DaemonAbsent):
    """It did not answer in time, and may still be at it."""


class DaemonRefused(Exception):
    """The daemon's own sentence."""


class DaemonLost(Exception):
    """It ended in the middle of an answer."""


def control_file(outbox: Path) -> Path:
    """{"port", "token"} of the daemon that has this outbox open."""
    return outbox.with_name(f"{outbox.name}.control.json")


def read_control(file: Path) -> tuple[int, str]:
    """(port, token). Raises DaemonAbsent, whatever stands in the file."""
    try:
        with file.open("rb") as stream:
            found = json.loads(stream.read(FILE_MAX_BYTES))
        port, token = int(found["port"]), str(found["token"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise DaemonAbsent from None
    if not 0 < port < 1 << 16 or not token.isascii() or not token.isprintable():
        raise DaemonAbsent
    return port, token


class Client:
    """Talks to the daemon that has `outbox` open. Raises DaemonAbsent where none runs."""

    def __init__(self, outbox: Path) -> None:
        port, self._token = read_control(control_file(outbox))
        self._base = f"http://127.0.0.1:{port}"
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(self, path: str, **query: str | int | None) -> Any:
        return self._answer(path, query)

    def post(self, path: str, body: Mapping[str, Any], *, timeout_s: float = TIMEOUT_S) -> Any:
        return self._answer(path, {}, json.dumps(body).encode(), timeout_s)

    def lines(self, path: str, **query: str | int | None) -> Iterator[str]:
        """Raises DaemonLost where it breaks off."""
        with self._request(path, query) as response:
            try:
                for line in response:
                    yield line.decode().rstrip("\n")
            except (OSError, HTTPException):
                raise DaemonLost from None

    def _answer(
        self, path: str, query: Mapping[str, Any], body: bytes | None = None, timeout_s: float = TIMEOUT_S
    ) -> Any:
        try:
            with self._request(path, query, body, timeout_s) as response:
                return json.load(response)["answer"]
        except (ValueError, KeyError, TypeError, HTTPException):
            raise DaemonAbsent from None  # another program has its port now

    def _request(
        self, path: str, query: Mapping[str, Any], body: bytes | None = None, timeout_s: float = TIMEOUT_S
    ) -> Any:
        given = {key: value for key, value in query.items() if value is not None}
        url = f"{self._base}{path}" + (f"?{urlencode(given)}" if given else "")
        request = urllib.request.Request(url, data=body, headers={TOKEN_HEADER: self._token})
        try:
            return self._opener.open(request, timeout=timeout_s)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == HTTPStatus.BAD_REQUEST:
                    raise DaemonRefused(error.read(500).decode(errors="replace")) from None
            raise DaemonAbsent from None  # the file is of a daemon that was killed
        except TimeoutError:
            raise DaemonSlow from None
        except (OSError, HTTPException):
            raise DaemonAbsent from None
