"""Writes the device tables of README.md and docs/devices.md from the installed drivers' manifests.

python docs/make_devices.py           writes both
python docs/make_devices.py --check   says what is not fresh, and ends with 1
"""

from __future__ import annotations

import sys
from pathlib import Path

from devicebridge import registry
from devicebridge.sdk.driver import Evidence, LinkKind, Manifest, Model

HERE = Path(__file__).parent
README, DEVICES = HERE.parent / "README.md", HERE / "devices.md"
BEGIN, END = "<!-- devices -->\n", "<!-- /devices -->\n"
WORDS = {
    Evidence.CAPTURE: "capture",
    Evidence.VENDOR_DOCUMENT: "document",
    Evidence.STANDARD: "standard",
    Evidence.OTHER_PROJECT: "project",
}
LINKS = {LinkKind.SERIAL: "serial", LinkKind.GATT: "Bluetooth LE"}
INTRODUCTION = """\
# Supported devices and their evidence

Made by `python docs/make_devices.py` from the drivers' manifests. No model has been connected by us: what stands in the
last column is what each driver was written and tested from.

"""


def main(words: list[str]) -> int:
    manifests = [registry.driver(name).manifest for name in registry.names(registry.DRIVERS)]
    wanted = {README: _readme(manifests), DEVICES: _devices(manifests)}
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{path.name} is not fresh" if "--check" in words else f"writing {path.name}")
        if "--check" not in words:
            path.write_text(wanted[path], encoding="utf-8")
    return 1 if stale and "--check" in words else 0


def _readme(manifests: list[Manifest]) -> str:
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = ["| device | link | driver | evidence |", "|---|---|---|---|"]
    for manifest in manifests:
        alike: dict[tuple[Evidence, str], list[str]] = {}
        for model in sorted(manifest.models, key=lambda model: list(Evidence).index(model.evidence)):
            alike.setdefault((model.evidence, _links(manifest, model)), []).append(model.name)
        for (evidence, link), names in alike.items():
            rows.append(f"| {'; '.join(names)} | {link} | `{manifest.id}` | {WORDS[evidence]} |")
    return before + BEGIN + "\n".join(rows) + "\n" + END + after


def _devices(manifests: list[Manifest]) -> str:
    text = INTRODUCTION
    for manifest in manifests:
        text += f"## `{manifest.id}`: {manifest.title}\n\n| model | link | evidence | source |\n|---|---|---|---|\n"
        for model in manifest.models:
            source = model.source.replace("|", "/")
            text += f"| {model.name} | {_links(manifest, model)} | {WORDS[model.evidence]} | {source} |\n"
        text += "\n"
    return text.rstrip("\n") + "\n"


def _links(manifest: Manifest, model: Model) -> str:
    there = {LinkKind.SERIAL: manifest.serial, LinkKind.GATT: manifest.gatt}
    return " or ".join(LINKS[kind] for kind, spec in there.items() if spec and model.link in (None, kind))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
