"""devicebridge schema: the JSON Schema of the config and of the messages, made from the code that uses them."""

from __future__ import annotations

import argparse
import json
from typing import Any

SCHEMAS = ("reading", "config")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("which", choices=SCHEMAS)
    parser.add_argument("--json", action="store_true", help="always on; here for likeness with other commands")


def run(args: argparse.Namespace) -> int:
    print(json.dumps(schema(args.which), indent=2))
    return 0


def schema(which: str) -> dict[str, Any]:
    if which == "config":
        from ..config import Config

        found = Config.model_json_schema()
    else:
        from ..readings import ReadingMessage

        found = ReadingMessage.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}
