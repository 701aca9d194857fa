"""Leads this Python program to the forwarder of `sandbox-worker run` when it asks for Discord.

Python imports it by itself, for its folder stands in PYTHONPATH; so it runs in every Python that there still is, uses
the standard library alone, and imports the `sitecustomize` that it stands before.

Names of Discord resolve to an address that nobody has, and a connection to that goes to the forwarder. For such a name
TLS trusts the run's own authority alone: whatever way round this a program finds, it ends at a certificate that is not
the relay's, and before the token is sent.
"""

# Types say little where the standard library is changed at run time.
# mypy: ignore-errors

import importlib.machinery
import importlib.util
import os
import socket
import ssl
import sys

_ADDRESS = "127.83.66.88"


def _give_up(error):
    """Python would go on without this, and send the sandbox's token to Discord."""
    sys.stderr.write("sandbox-worker: this program cannot be led to the relay: %r\n" % (error,))
    sys.stderr.flush()
    os._exit(70)


try:
    _DOMAINS = os.environ["SANDBOX_RUN_DOMAINS"].split(",")
    _NOT_LED = os.environ["SANDBOX_RUN_NOT_LED"].split(",")
    _HOST, _, _PORT = os.environ["SANDBOX_RUN_FORWARDER"].rpartition(":")
    _FORWARDER = (_HOST, int(_PORT))
    _trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _trust.load_verify_locations(cadata=os.environ["SANDBOX_RUN_AUTHORITY"])
except Exception as error:
    _give_up(error)


def _is_led(host):
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("ascii", "replace")
    if not isinstance(host, str):
        return False
    name = host.lower().rstrip(".")
    return name not in _NOT_LED and any(name == domain or name.endswith("." + domain) for domain in _DOMAINS)


def _lead_resolver():
    getaddrinfo, by_name, by_name_ex = socket.getaddrinfo, socket.gethostbyname, socket.gethostbyname_ex

    def led_getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):  # noqa: A002
        if not _is_led(host):
            return getaddrinfo(host, port, family, type, proto, flags)
        if family == socket.AF_INET6:
            raise socket.gaierror(socket.EAI_NONAME, "Discord has no IPv6 address in a sandbox")
        return getaddrinfo(_ADDRESS, port, socket.AF_INET, type, proto, flags & ~socket.AI_CANONNAME)

    socket.getaddrinfo = led_getaddrinfo
    socket.gethostbyname = lambda host: _ADDRESS if _is_led(host) else by_name(host)
    socket.gethostbyname_ex = lambda host: (host, [], [_ADDRESS]) if _is_led(host) else by_name_ex(host)


def _target(address):
    if isinstance(address, tuple) and len(address) >= 2 and (address[0] == _ADDRESS or _is_led(address[0])):
        return _FORWARDER
    return address


def _lead_connections():
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    socket.socket.connect = lambda self, address: connect(self, _target(address))
    socket.socket.connect_ex = lambda self, address: connect_ex(self, _target(address))


def _lead_trust():
    wrap_socket, wrap_bio = ssl.SSLContext.wrap_socket, ssl.SSLContext.wrap_bio

    def led_wrap_socket(
        self,
        sock,
        server_side=False,
        do_handshake_on_connect=True,
        suppress_ragged_eofs=True,
        server_hostname=None,
        session=None,
    ):
        if _is_led(server_hostname) and not server_side:
            self, session = _trust, None
        return wrap_socket(
            self, sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, server_hostname, session
        )

    def led_wrap_bio(self, incoming, outgoing, server_side=False, server_hostname=None, session=None):
        if _is_led(server_hostname) and not server_side:
            self, session = _trust, None
        return wrap_bio(self, incoming, outgoing, server_side, server_hostname, session)

    ssl.SSLContext.wrap_socket, ssl.SSLContext.wrap_bio = led_wrap_socket, led_wrap_bio


def _lead_aiohttp(module):
    """Its resolver of aiodns asks the name servers itself."""
    resolver = getattr(module, "AsyncResolver", None)
    if resolver is None:
        return
    resolve = resolver.resolve

    async def led_resolve(self, host, port=0, family=socket.AF_INET):
        if not _is_led(host):
            return await resolve(self, host, port, family)
        found = {"hostname": host, "host": _ADDRESS, "port": port, "family": socket.AF_INET, "proto": 0}
        return [dict(found, flags=socket.AI_NUMERICHOST)]

    resolver.resolve = led_resolve


def _lead_uvloop(module):
    """It resolves and connects without Python's sockets."""
    loop = module.Loop
    getaddrinfo, create_connection = loop.getaddrinfo, loop.create_connection

    async def led_getaddrinfo(self, host, port, **options):
        if _is_led(host):
            return socket.getaddrinfo(host, port, **options)
        return await getaddrinfo(self, host, port, **options)

    async def led_create_connection(self, protocol_factory, host=None, port=None, **options):
        if host == _ADDRESS or _is_led(host):
            if options.get("ssl") and options.get("server_hostname") is None:
                options["server_hostname"] = host
            host, port = _FORWARDER
        return await create_connection(self, protocol_factory, host, port, **options)

    loop.getaddrinfo, loop.create_connection = led_getaddrinfo, led_create_connection


class _AfterImport:
    """A finder before all others, which finds nothing itself: what the others find is led when it has been run."""

    leads = {"aiohttp.resolver": _lead_aiohttp, "uvloop": _lead_uvloop}  # noqa: RUF012

    def find_spec(self, name, path=None, target=None):
        lead = self.leads.pop(name, None)
        if lead is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def led_run(module):
                run(module)
                lead(module)

            spec.loader.exec_module = led_run
        return spec


def _import_next():
    """The `sitecustomize` that Python would have imported without this one."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = [each for each in sys.path if os.path.abspath(each) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _set_token():
    """Not before: a Python that skips this file, as with -I, is left without it."""
    for name in os.environ["SANDBOX_RUN_TOKEN_VARIABLES"].split(","):
        os.environ[name] = os.environ["SANDBOX_BOT_TOKEN"]


try:
    _lead_resolver()
    _lead_connections()
    _lead_trust()
    sys.meta_path.insert(0, _AfterImport())
    _set_token()
except Exception as error:
    _give_up(error)
_import_next()
