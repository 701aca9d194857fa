"""Becomes the program, in a user, network and mount namespace of its own, in which every IPv4 address is here.

The listening sockets stay behind with whoever started this: there, connections are carried on, or answered as Discord.
Run as a script, on the standard library alone: `inside.py FD` with the `Plan` as JSON on that socket.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import TypedDict

_CLONE_NEWNS, _CLONE_NEWUSER, _CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_PR_SET_PDEATHSIG = 1
_RTM_NEWROUTE, _NLM_F_REQUEST, _NLM_F_ACK, _NLM_F_CREATE = 24, 1, 4, 0x400
_RT_TABLE_LOCAL, _RTPROT_BOOT, _RT_SCOPE_HOST, _RTN_LOCAL, _RTA_OIF, _LOOPBACK = 255, 3, 254, 2, 4, 1
_IP_PKTINFO = 8

_libc = ctypes.CDLL(None, use_errno=True)


class Plan(TypedDict):
    """Each of `bundles` is replaced by the file `trusted`, for this program alone."""

    program: str
    command: list[str]
    ports: list[int]
    trusted: str
    bundles: list[str]


def main() -> None:
    """Never returns: it is the program then, or ends with 1 after it has said why."""
    starter = socket.socket(fileno=int(sys.argv[1]))
    starter.set_inheritable(False)
    plan: Plan = json.loads(starter.makefile("rb").readline())
    user, group = os.getuid(), os.getgid()
    try:
        _enter(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWNS, f"0 {user} 1", f"0 {group} 1")
        _make_every_address_local()
        _trust(plan)
        listening = [*map(_listen, plan["ports"]), _listen_for_names()]
        socket.send_fds(starter, [b"ok"], [each.fileno() for each in listening])
        _enter(_CLONE_NEWUSER, f"{user} 0 1", f"{group} 0 1")  # itself again, with no rights here
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        os.execv(plan["program"], plan["command"])  # noqa: S606
    except OSError as error:
        starter.send(str(error).encode())
        sys.exit(1)


def _enter(namespaces: int, users: str, groups: str) -> None:
    _check(_libc.unshare(namespaces))
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny")
    (own / "uid_map").write_text(users)
    (own / "gid_map").write_text(groups)


def _make_every_address_local() -> None:
    """As `ip link set lo up; ip route add local default dev lo`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    route = struct.pack(
        "=BBBBBBBBI", socket.AF_INET, 0, 0, 0, _RT_TABLE_LOCAL, _RTPROT_BOOT, _RT_SCOPE_HOST, _RTN_LOCAL, 0
    ) + struct.pack("=HHI", 8, _RTA_OIF, _LOOPBACK)
    flags = _NLM_F_REQUEST | _NLM_F_ACK | _NLM_F_CREATE
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(route), _RTM_NEWROUTE, flags, 1, 0) + route)
        (code,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if code:
        raise OSError(-code, os.strerror(-code))


def _trust(plan: Plan) -> None:
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    for bundle in plan["bundles"]:
        _check(_libc.mount(plan["trusted"].encode(), bundle.encode(), None, _MS_BIND, None))


def _listen(port: int) -> socket.socket:
    return socket.create_server(("0.0.0.0", port), backlog=128)  # noqa: S104


def _listen_for_names() -> socket.socket:
    """Tells with each question which name server it was meant for."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    listening.bind(("0.0.0.0", 53))  # noqa: S104
    return listening


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main()
