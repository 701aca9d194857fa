"""Asks Discord for its gateway by every HTTP client there is, and says what the system was asked for on the way."""

import asyncio
import http.client
import json
import socket
import ssl
import sys
import urllib.request
from contextlib import suppress

import aiohttp
import certifi
import httpx
import requests
import uvloop

URL = "https://discord.com/api/v10/gateway"
connected: set[str] = set()
looked_up: set[str] = set()


def watch(event, arguments):
    if event == "socket.connect" and arguments[0].family != socket.AF_UNIX:
        connected.add(arguments[1][0])
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        looked_up.add(str(arguments[0]))


sys.addaudithook(watch)


def by_http_client():
    connection = http.client.HTTPSConnection("DISCORD.com")
    connection.request("GET", "/api/v10/gateway")
    return json.loads(connection.getresponse().read())


def by_sockets_alone():
    context = ssl.create_default_context(cafile=certifi.where())
    with (
        socket.create_connection((socket.gethostbyname("discord.com"), 443)) as plain,
        context.wrap_socket(plain, server_hostname="discord.com") as connection,
    ):
        connection.sendall(b"GET /api/v10/gateway HTTP/1.1\r\nHost: discord.com\r\nConnection: close\r\n\r\n")
        return json.loads(connection.makefile("rb").read().partition(b"\r\n\r\n")[2])


async def by_aiohttp(resolver):
    connector = aiohttp.TCPConnector(resolver=resolver())
    async with aiohttp.ClientSession(connector=connector) as session, session.get(URL) as response:
        return await response.json()


async def by_httpx():
    async with httpx.AsyncClient() as client:
        return (await client.get(URL)).json()


async def by_aiohttp_and_httpx():
    await asyncio.gather(by_aiohttp(aiohttp.AsyncResolver), by_aiohttp(aiohttp.ThreadedResolver))
    return await by_httpx()


found = {
    "urllib": json.load(urllib.request.urlopen(URL)),
    "http.client": by_http_client(),
    "sockets": by_sockets_alone(),
    "requests": requests.get(URL).json(),
    "httpx": httpx.get(URL).json(),
    "aiohttp with aiodns": asyncio.run(by_aiohttp(aiohttp.AsyncResolver)),
    "aiohttp": asyncio.run(by_aiohttp(aiohttp.ThreadedResolver)),
    "httpx on asyncio": asyncio.run(by_httpx()),
    "all on uvloop": uvloop.run(by_aiohttp_and_httpx()),
}
with suppress(OSError):  # without a net, too, it was asked for
    socket.getaddrinfo("cdn.discordapp.com", 443)
print(json.dumps({"urls": {name: told["url"] for name, told in found.items()}}))
print(json.dumps({"connected": sorted(connected), "looked_up": sorted(looked_up)}))
