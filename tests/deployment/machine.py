"""A machine of Debian's with the units of systemd on it, whose systemd is the first process of a root of its own."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.deployment.container import Container
from tests.deployment.image import REPOSITORY, Image
from tests.deployment.root import Root, said_by

PACKAGES = ("systemd",)
INSTALLED = "/opt/sandbox-bot"
_STARTS_WITHIN_S, _ENDS_WITHIN_S = 60.0, 10.0
_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
_USER = ("useradd", "--system", "--home-dir", "/var/lib/sandbox-bot", "--shell", "/usr/sbin/nologin", "sandbox-bot")
_TARGET = "[Unit]\nDescription=Nothing but a log\nWants=systemd-journald.socket\nAfter=systemd-journald.socket\n"
_START = """
echo $$ > "$2/cgroup.procs"
exec unshare --cgroup --mount --pid --ipc --uts --fork --kill-child bash -euc "$3" boot "$1"
"""
_BOOT = """
root=$1
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --bind -o ro "$root/proc/sys" "$root/proc/sys"
for empty in run tmp sys dev/shm; do mount -t tmpfs -o mode=1777 tmpfs "$root/$empty"; done
mkdir -p "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --make-rshared "$root"
exec chroot "$root" env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system
"""


@dataclass(frozen=True)
class Machine:
    """It runs until `booted` is left."""

    root: Root
    systemd: Container

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """A command of root's on it."""
        namespaces = ("--mount", "--pid", "--ipc", "--uts", "--cgroup", "--root", "--wd=/")
        target = f"--target={self.systemd.first_process}"
        return said_by(["nsenter", target, *namespaces, "env", "-i", _PATH, *argv])

    def shows(self, unit: str, name: str) -> str:
        """A property of a unit's."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).stdout.strip()

    async def until_shows(self, unit: str, name: str, value: str) -> None:
        """Waits for that."""
        async with asyncio.timeout(_STARTS_WITHIN_S):
            while await asyncio.to_thread(self.shows, unit, name) != value:
                await asyncio.sleep(0.2)

    @property
    def log(self) -> str:
        """What the bot has said."""
        return self.run("journalctl", "--unit=sandbox-bot", "--no-pager", "--output=cat").stdout


def install(root: Root, image: Image, **environment: str) -> None:
    """As docs/deploy.md says, but for pip, which has installed into the image."""
    subprocess.run(["cp", "-a", image.root.path("/app"), root.path("/app")], check=True)
    root.path(INSTALLED).symlink_to("/app")
    settings, units = root.path("/etc/sandbox-bot"), root.path("/etc/systemd/system")
    settings.mkdir()
    shutil.copy(REPOSITORY / "config.toml", settings)
    write_environment(root, **environment)
    (settings / "discord_token").touch(mode=0o600)
    (settings / "discord_token").write_text("a.bot.token\n")
    for unit in (REPOSITORY / "deploy").glob("sandbox-bot.*"):
        shutil.copy(unit, units)
    (units / "default.target").write_text(_TARGET)
    done = said_by(root.command(_USER, {}))
    assert done.returncode == 0, done.stdout


def write_environment(root: Root, **environment: str) -> None:
    """What overrides the unit."""
    lines = "".join(f"{name}={value}\n" for name, value in environment.items())
    root.path("/etc/sandbox-bot/environment").write_text(lines)


@asynccontextmanager
async def booted(root: Root, folder: Path) -> AsyncIterator[Machine]:
    """Its systemd has reached its target."""
    with _cgroup(folder / "cgroups") as cgroup:
        command = ["bash", "-euc", _START, "start", str(root.folder), str(cgroup), _BOOT]
        machine = Machine(root, Container("systemd", command, folder / "systemd.log"))
        await machine.systemd.start()
        try:
            await machine.until_shows("default.target", "ActiveState", "active")
            yield machine
        finally:
            await machine.systemd.kill()


@contextmanager
def _cgroup(folder: Path) -> Iterator[Path]:
    """One of its own, so that systemd's are below it, and are gone in the end."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "cgroup2", "cgroup2", folder], check=True)
    own = folder / "sandbox-bot-deployment"
    own.mkdir(exist_ok=True)
    try:
        yield own
    finally:
        _remove(own)
        subprocess.run(["umount", folder], check=True)


def _remove(cgroup: Path) -> None:
    """As soon as the last process in it has ended, which was killed."""
    until = time.monotonic() + _ENDS_WITHIN_S
    while cgroup.exists() and time.monotonic() < until:
        for one in sorted([cgroup, *cgroup.rglob("*/")], reverse=True):
            with suppress(OSError):
                one.rmdir()
        time.sleep(0.05)
