"""The files in config/ are what the code does: schemas are generated, examples load, the AsyncAPI document agrees."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml  # comes with amqtt

from devicebridge.commands.schema import SCHEMAS, schema
from devicebridge.config import load
from devicebridge.ekg.live import Live
from devicebridge.health import DeviceHealth, DeviceState
from devicebridge.sdk import Kind, Lead, Unit, Wave, WaveFormat
from devicebridge.topics import ROOT, Topics
from support.clock import ManualClock

CONFIG = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize("which", SCHEMAS)
def test_the_schema_files_are_fresh(which: str) -> None:
    """Written by: devicebridge schema WHICH > config/WHICH.schema.json"""
    assert json.loads((CONFIG / f"{which}.schema.json").read_text()) == schema(which)


@pytest.mark.parametrize("which", SCHEMAS)
def test_the_schemas_are_schemas(which: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(which))


def test_the_example_room_loads() -> None:
    config = load(CONFIG / "room.toml")
    assert set(config.devices) == {"cuff", "oximeter"}
    assert not config.simulated


def asyncapi() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((CONFIG / "asyncapi.yaml").read_text())
    return document


def test_asyncapi_has_our_topics_and_kinds() -> None:
    channels = asyncapi()["channels"]
    topics = Topics("{site}", "{room}")
    assert channels["roomStatus"]["address"] == topics.room_status
    assert channels["deviceStatus"]["address"] == topics.device_status("{device}")
    assert channels["wave"]["address"] == topics.wave("{device}")
    assert channels["quarantine"]["address"] == topics.quarantine("{device}")
    assert channels["reading"]["address"] == f"{ROOT}/{{site}}/{{room}}/{{device}}/reading/{{kind}}"
    assert channels["reading"]["parameters"]["kind"]["enum"] == list(Kind)


def test_asyncapi_describes_the_device_status() -> None:
    payload = asyncapi()["components"]["messages"]["deviceStatus"]["payload"]
    assert payload["properties"]["state"]["enum"] == list(DeviceState)
    status = DeviceHealth("cuff", "ble-blood-pressure", ManualClock()).status()
    assert set(status) == set(payload["properties"])
    jsonschema.validate(json.loads(json.dumps(status, default=str)), payload)


def test_asyncapi_describes_the_wave() -> None:
    payload = asyncapi()["components"]["messages"]["wave"]["payload"]
    format_ = WaveFormat(
        leads=(Lead.II,), rate_hz=Decimal(4), unit=Unit.MILLIVOLT, scale=Decimal("0.5"), lowest=-9, highest=9
    )
    shown: list[bytes] = []
    live = Live("leads", "0a1b2c3d", lambda chunk: not shown.append(chunk), simulated=True)
    live.take(Wave(format=format_, first_index=7, rows=((1,), (None,)), leads_off=frozenset({Lead.II})))
    wave = json.loads(shown[0])
    assert set(wave) == set(payload["properties"])
    jsonschema.validate(wave, payload)
