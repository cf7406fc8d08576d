"""Writes the device tables of README.md and docs/devices.md from the installed drivers' manifests.

python docs/make_devices.py           writes both
python docs/make_devices.py --check   says what is not fresh, and ends with 1
"""

from __future__ import annotations

import sys
from pathlib import Path

from devicebridge import registry
from devicebridge.sdk.driver import Evidence, Manifest, SerialSpec

HERE = Path(__file__).parent
README, DEVICES = HERE.parent / "README.md", HERE / "devices.md"
BEGIN, END = "<!-- devices -->\n", "<!-- /devices -->\n"
WORDS = {
    Evidence.CAPTURE: "capture",
    Evidence.VENDOR_DOCUMENT: "document",
    Evidence.STANDARD: "standard",
    Evidence.OTHER_PROJECT: "project",
}
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
        by_evidence: dict[Evidence, list[str]] = {}
        for model in manifest.models:
            by_evidence.setdefault(model.evidence, []).append(model.name)
        for evidence in sorted(by_evidence, key=list(Evidence).index):
            names = "; ".join(by_evidence[evidence])
            rows.append(f"| {names} | {_links(manifest)} | `{manifest.id}` | {WORDS[evidence]} |")
    return before + BEGIN + "\n".join(rows) + "\n" + END + after


def _devices(manifests: list[Manifest]) -> str:
    text = INTRODUCTION
    for manifest in manifests:
        text += f"## `{manifest.id}`: {manifest.title}\n\n| model | evidence | source |\n|---|---|---|\n"
        for model in manifest.models:
            text += f"| {model.name} | {WORDS[model.evidence]} | {model.source.replace('|', '/')} |\n"
        text += "\n"
    return text.rstrip("\n") + "\n"


def _links(manifest: Manifest) -> str:
    serial = any(isinstance(link, SerialSpec) for link in manifest.links)
    return " or ".join(
        word for word, there in (("serial", serial), ("Bluetooth LE", manifest.gatt is not None)) if there
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
