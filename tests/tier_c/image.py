"""What the guest runs: Debian packages unpacked into a folder, a kernel with a tiny initramfs, and our Python packages.

Nothing is installed, nobody need be root: packages are resolved as for an empty system and unpacked.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
PACKAGES = ("linux-image-amd64", "busybox-static", "bluez", "dbus", "python3", "mosquitto", "tzdata", "libc-bin")
PYTHON_PACKAGES = ("pytest",)
"""Beside those of the project and its `demo` extra: tests/support imports it."""
MODULES = (
    *("virtio_pci", "9pnet_virtio", "9p"),
    # SMP's: without drbg the kernel makes no ECDH key, and so no LE Secure Connections.
    *("sha256_generic", "sha512_generic", "ctr", "ecb", "cmac", "drbg", "ecdh_generic"),
    *("algif_hash", "algif_skcipher", "uhid", "hci_vhci"),
)
MERGED = ("bin", "lib", "lib64", "sbin")
MOUNT_POINTS = ("dev", "proc", "sys", "run", "tmp", "var/lib", "mnt/python", "mnt/project", "mnt/tests", "mnt/out")
USERS = "root:x:0:0::/root:/bin/sh\nmessagebus:x:100:100::/:/bin/false\nmosquitto:x:102:102::/:/bin/false\n"
GROUPS = "root:x:0:\nmessagebus:x:100:\nbluetooth:x:101:\nmosquitto:x:102:\n"
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64")
BUILD_TIMEOUT_S = 900


@dataclass(frozen=True)
class Image:
    """root, python, project: folders for the guest. root and python are kept from run to run."""

    root: Path
    python: Path
    project: Path
    kernel: Path
    initramfs: Path


def build(cache: Path) -> Image:
    """Raises subprocess.CalledProcessError with what was missing on standard error."""
    root = _kept(cache / "root", " ".join(PACKAGES), _unpack_debian)
    python = _kept(cache / "python", _wanted_of_pypi(root), lambda folder: _install_wanted(folder, root))
    project = cache / "project"
    _fresh(project)
    _pip("install", "--no-deps", "--target", str(project), str(REPOSITORY))
    [kernel] = (root / "boot").glob("vmlinuz-*")
    initramfs = cache / "initramfs"
    _make_initramfs(root, cache / "initramfs.d", initramfs)
    return Image(root, python, project, kernel, initramfs)


def _kept(folder: Path, key: str, make: Callable[[Path], None]) -> Path:
    stamp, digest = folder.with_suffix(".made"), hashlib.sha256(key.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        stamp.unlink(missing_ok=True)
        _fresh(folder)
        make(folder)
        stamp.write_text(digest)
    return folder


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _unpack_debian(root: Path) -> None:
    packages, nothing_installed = root.with_name("packages"), root.with_name("status")
    _fresh(packages / "partial")
    nothing_installed.touch()
    chosen = {
        "Dir::State::status": str(nothing_installed),
        "Dir::Cache": str(packages),
        "Dir::Cache::archives": str(packages),
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "root",
    }
    options = [word for key, value in chosen.items() for word in ("-o", f"{key}={value}")]
    options += ["--quiet=2", "--yes", "--no-install-recommends", "--download-only"]
    _run(["apt-get", *options, "install", *PACKAGES])
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in packages.glob("*.deb"):
        unpack = 'dpkg-deb --fsys-tarfile "$0" | tar -x --keep-directory-symlink -C "$1"'
        _run(["sh", "-c", unpack, str(package), str(root)])
    shutil.rmtree(packages)
    for name in MOUNT_POINTS:
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "var/run").symlink_to("/run")
    (root / "usr/share/dbus-1/system-services/org.bluez.service").unlink()  # starts it by systemd, which is not there
    (root / "etc/passwd").write_text(USERS)
    (root / "etc/group").write_text(GROUPS)


def _python_of(root: Path) -> str:
    """As "3.11"."""
    return (root / "usr/bin/python3").readlink().name.removeprefix("python")


def _wanted_of_pypi(root: Path) -> str:
    """A requirement a line."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["demo"], *PYTHON_PACKAGES]
    return "\n".join((f"# {_python_of(root)}", *lines))


def _install_wanted(folder: Path, root: Path) -> None:
    wanted = folder.with_name("requirements.txt")
    wanted.write_text(_wanted_of_pypi(root))
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    fits = ["--python-version", _python_of(root), "--implementation", "cp", "--only-binary=:all:", *platforms]
    _pip("install", "--target", str(folder), *fits, "--requirement", str(wanted))


def _pip(*words: str) -> None:
    _run([sys.executable, "-m", "pip", "--quiet", "--quiet", *words])


def _make_initramfs(root: Path, folder: Path, file: Path) -> None:
    _fresh(folder)
    for name in ("bin", "dev", "modules", "proc", "root", "sys"):
        (folder / name).mkdir()
    shutil.copy(root / "usr/bin/busybox", folder / "bin/busybox")
    shutil.copy(HERE / "init", folder / "init")
    (folder / "init").chmod(0o755)
    found = {path.stem: path for path in (root / "lib/modules").rglob("*.ko")}
    order = list(dict.fromkeys(name for module in MODULES for name in _with_needs(module, found)))
    for name in order:
        shutil.copy(found[name], folder / "modules")
    (folder / "modules/order").write_text("".join(f"{name}\n" for name in order))
    with file.open("wb") as packed:
        pack = "find . -print0 | cpio --null --create --quiet --format=newc --owner=0:0"
        subprocess.run(["sh", "-c", pack], cwd=folder, stdout=packed, check=True, timeout=BUILD_TIMEOUT_S)


def _with_needs(module: str, found: dict[str, Path]) -> Iterator[str]:
    """What the module says that it depends on, then itself; nothing if it is built into the kernel."""
    if module in found:
        said = re.search(rb"\0depends=([^\0]*)", found[module].read_bytes())
        for need in said[1].decode().split(",") if said else ():
            yield from _with_needs(need.replace("-", "_"), found)
        yield module


def _run(command: list[str], *, folder: Path | None = None) -> str:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True, timeout=BUILD_TIMEOUT_S)
    return done.stdout
