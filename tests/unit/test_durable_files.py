"""Files that must last are on the disk, with the folders that they are in, before anybody relies on them."""

import os
import stat
from pathlib import Path

import pytest

from bot.certificates import write_certificates
from bot.stores.embedded.folder import choose_ports, load_passwords, make_folder
from sandbox_worker.files import replace_file


@pytest.fixture
def synced(monkeypatch):
    """The paths that were synced, and those that were moved, in their order."""
    done, sync, replace = [], os.fsync, Path.replace

    def recorded_sync(descriptor):
        done.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    def recorded_replace(self, target):
        done.append(("move", Path(target)))
        return replace(self, target)

    monkeypatch.setattr("os.fsync", recorded_sync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    return done


def in_order(done, path):
    """Whether the file of that name was synced before it was moved there, and its folder after that."""
    moved = done.index(("move", path))
    drafts = [each for what, each in done[:moved] if what == "sync" and each.name.startswith(path.name)]
    return bool(drafts) and ("sync", path.parent) in done[moved:]


def test_a_file_is_synced_moved_and_its_folder_synced(tmp_path, synced):
    replace_file(tmp_path / "kept", "text")
    assert in_order(synced, tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o600


def test_what_a_killed_process_has_left_of_a_file_is_in_nobodys_way(tmp_path):
    (tmp_path / f"kept.{os.getpid()}.new").write_text("half")
    replace_file(tmp_path / "kept", "whole")
    assert (tmp_path / "kept").read_text() == "whole"


def test_passwords_ports_and_certificates_last(tmp_path, synced):
    folder = make_folder(tmp_path / "new" / "data")
    assert {("sync", tmp_path), ("sync", tmp_path / "new")} <= set(synced)
    load_passwords(folder, ["redis"])
    choose_ports(folder, ["redis"])
    write_certificates(tmp_path / "certificates", ["localhost"])
    assert in_order(synced, folder / "secrets.json")
    assert in_order(synced, folder / "ports.json")
    assert in_order(synced, tmp_path / "certificates" / "ca.pem")
    assert in_order(synced, tmp_path / "certificates" / "ca.key")
