"""PyPI's thingsboard-gateway as a process: a serial line in, its own SQLite storage, MQTT out.

It asks ThingsBoard for the limits of its session before it sends a reading; `LIMITS` is the answer of a platform that
sets none. Its serial connector wants pyserial, which it does not bring. https://thingsboard.io/docs/iot-gateway/
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REQUIREMENTS = ("thingsboard-gateway==3.8.5", "pyserial==3.5")
NAME = "thingsboard-gateway 3.8.5"
ASKS, ANSWERS = "v1/devices/me/rpc/request/", "v1/devices/me/rpc/response/"
LIMITS = json.dumps({"maxPayloadSize": 65536, "maxInflightMessages": 100, "rateLimits": {}, "gatewayRateLimits": {}})
NO_LIMIT = "0:0,"


@dataclass
class ThingsBoard:
    """environment: the virtual one that it is installed in. serial_port: a device path; a line is a reading."""

    folder: Path
    environment: Path
    mqtt_port: int
    serial_port: str
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        self._configure()
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [str(self.environment / "bin" / "thingsboard-gateway")],
                cwd=self.folder,
                env={
                    **os.environ,
                    "TB_GW_CONFIG_DIR": str(self.folder / "config"),
                    "TB_GW_LOGS_PATH": str(self.folder / "logs"),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def end(self, how: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(20)

    def _configure(self) -> None:
        config = self.folder / "config"
        for folder in (config, self.folder / "data", self.folder / "logs"):
            folder.mkdir(parents=True, exist_ok=True)
        (config / "tb_gateway.json").write_text(json.dumps(self._gateway()))
        (config / "serial.json").write_text(json.dumps(self._serial()))
        [logs] = self.environment.glob("lib/python3*/site-packages/thingsboard_gateway/config/logs.json")
        shutil.copy(logs, config / "logs.json")

    def _gateway(self) -> dict[str, Any]:
        """As it is shipped, but for the broker, a durable storage, no limits of rate, and no statistics."""
        limits = ("", "dp", "messages", "deviceMessages", "device", "deviceDp")
        return {
            "thingsboard": {
                "host": "127.0.0.1",
                "port": self.mqtt_port,
                "remoteShell": False,
                "remoteConfiguration": False,
                "statistics": {"enable": False},
                "deviceFiltering": {"enable": False, "filterFile": "list.json"},
                "maxPayloadSizeBytes": 8196,
                "minPackSendDelayMS": 50,
                "minPackSizeToSend": 500,
                "checkConnectorsConfigurationInSeconds": 60,
                "handleDeviceRenaming": True,
                "security": {"type": "accessToken", "accessToken": "benchmark"},
                "qos": 1,
                "reportStrategy": {"type": "ON_RECEIVED"},
                "checkingDeviceActivity": {"checkDeviceInactivity": False},
                **{f"{kind}RateLimits" if kind else "rateLimits": NO_LIMIT for kind in limits},
            },
            "storage": {"type": "sqlite", "data_file_path": f"{self.folder}/data/"},
            "grpc": {"enabled": False},
            "connectors": [
                {"type": "serial", "name": "scale", "class": "SerialConnector", "configuration": "serial.json"}
            ],
        }

    def _serial(self) -> dict[str, Any]:
        weighing = {"type": "string", "key": "weighing", "untilDelimiter": "\r"}
        device = {"name": "scale", "type": "default", "port": self.serial_port, "baudrate": 9600}
        return {
            "name": "scale",
            "logLevel": "INFO",
            "uplinkQueueSize": 100000,
            "devices": [{**device, "converter": "SerialUplinkConverter", "telemetry": [weighing]}],
        }
