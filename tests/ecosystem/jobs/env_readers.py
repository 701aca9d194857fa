"""Programs that read `.env`: what the one that is named finds in it is what was written there."""

import json
import os
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

MAKEFILE = "include .env\nexport\nall:\n\t@env -0\n"


def run(*command):
    """What the command says, which has nothing of our environment."""
    return subprocess.run(command, env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, check=True).stdout.decode()


def printed(*command):
    """The environment that the command prints in the end."""
    return dict(entry.split("=", 1) for entry in run(*command).split("\0") if entry)


def bash():
    return printed("bash", "-c", "set -a; source ./.env; env -0")


def dash():
    return printed("dash", "-c", "set -a; . ./.env; env -0")


def make():
    Path("Makefile").write_text(MAKEFILE)
    return printed("make", "--silent")


def xargs():
    return printed("sh", "-c", "env $(grep -v '^#' .env | xargs) env -0")


class Daemon(BaseHTTPRequestHandler):
    """As much of Docker's as the client needs that asks it to make a container."""

    def do_GET(self):
        self.answer({})

    def do_POST(self):
        self.server.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer({"Id": "1", "Warnings": []})

    def answer(self, said):
        body = json.dumps(said).encode()
        self.send_response(200 if self.command != "POST" else 201)
        for name, value in {"Api-Version": "1.44", "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body if self.command != "HEAD" else b"")

    do_HEAD = do_GET

    def log_message(self, *what):
        pass


def docker():
    """By its client, where it is installed; else by the rule of `docker run --env-file`: lines with # are comments, and
    everything behind the first = is the value."""
    if shutil.which("docker") is None:
        lines = [line.lstrip() for line in Path(".env").read_text().splitlines()]
        return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    with HTTPServer(("127.0.0.1", 0), Daemon) as daemon:
        Thread(target=daemon.serve_forever, daemon=True).start()
        run("docker", "-H", f"tcp://127.0.0.1:{daemon.server_port}", "create", "--env-file", ".env", "image")
        daemon.shutdown()
    return dict(entry.split("=", 1) for entry in daemon.asked["Env"])


def systemd():
    """By the rule of EnvironmentFile= in systemd.exec(5), for it reads none without being the init of a machine: lines
    with # or ; are comments, a backslash takes the next character as it is or joins two lines, and what stands in
    quotes loses them."""
    found = {}
    joined = Path(".env").read_text().replace("\\\n", "")
    for line in (line.strip() for line in joined.splitlines()):
        if line and line[0] not in "#;":
            name, _, value = line.partition("=")
            found[name.strip()] = unquoted(value.strip())
    return found


def unquoted(value):
    text, quote, rest = "", "", iter(value)
    for character in rest:
        if character == "\\" and quote != "'":
            text += next(rest, "")
        elif character in "'\"" and quote in {"", character}:
            quote = "" if quote else character
        else:
            text += character
    return text


def handed_out(environment):
    """The variables that such a file has: everything else is the machine's."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(("SANDBOX_", "PG", "NATS_")) or name.endswith("_URL")
    }


READERS = {each.__name__: each for each in (bash, dash, docker, make, systemd, xargs)}

found, expected = handed_out(READERS[sys.argv[1]]()), handed_out(os.environ)
assert {"DATABASE_URL", "SANDBOX_GUILD_IDS"} <= expected.keys()
assert found == expected, [name for name in expected if found.get(name) != expected[name]]
print("every value is read as it was written")
