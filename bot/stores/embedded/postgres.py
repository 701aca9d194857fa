"""The embedded PostgreSQL's data directory, and its roles and database."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal

import asyncpg

from bot.stores.embedded.configuration import CONTROL_ROLE, DATABASE, SUPERUSER, Layout, launch_command
from bot.stores.embedded.errors import EmbeddedError
from bot.stores.launch import EX_NO_NAMESPACE
from bot.stores.postgres import sql_folder
from sandbox_worker.files import replace_file, sync_folder


def postgres_url(layout: Layout, role: str, database: str = DATABASE) -> str:
    """The address with that role's password in it."""
    clear = "" if layout.reach.certificates is None else "?sslmode=disable"  # on loopback
    return f"postgresql://{role}:{layout.passwords[role]}@127.0.0.1:{layout.ports['postgres']}/{database}{clear}"


async def init_postgres(layout: Layout) -> None:
    """Make the data directory, if there is none, with the superuser's password."""
    data = layout.postgres_data
    if (data / "PG_VERSION").exists():
        return
    draft = data.with_name("postgres.new")  # moved when it is complete: an interrupted initdb leaves no ruin
    await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
    password_file = replace_file(layout.folder / "postgres.password", layout.passwords[SUPERUSER])
    argv = [layout.programs.find_postgres("initdb"), "-D", str(draft), "-U", SUPERUSER, f"--pwfile={password_file}"]
    argv += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"]
    argv += [] if layout.durable else ["--no-sync"]
    code, output = await _run(launch_command(argv, signal.SIGKILL), {})
    password_file.unlink()
    if code == EX_NO_NAMESPACE:
        raise EmbeddedError("PostgreSQL does not run as root here. Start the bot as another user.")
    if code != 0:
        raise EmbeddedError(f"PostgreSQL could not be set up in {data}: {last_line(output)}")
    draft.rename(data)
    sync_folder(layout.folder)


def forget_earlier_postgres(layout: Layout) -> None:
    """Before a start, when no process of an earlier one is left, as the folder's lock and the servers' pipe prove.

    PostgreSQL itself only sees whether there is a process of the number in this file, which may be anybody's by now.
    """
    (layout.postgres_data / "postmaster.pid").unlink(missing_ok=True)


async def bootstrap(layout: Layout) -> None:
    """Roles and database, as a DBA would make them on a server of one's own. Safe to repeat."""
    argv = [layout.programs.find_postgres("psql"), "-X", "-q"]
    argv += ["-v", f"role={CONTROL_ROLE}", "-v", f"database={DATABASE}", "-f", str(sql_folder() / "bootstrap.sql")]
    argv += ["-h", "127.0.0.1", "-p", str(layout.ports["postgres"]), "-U", SUPERUSER, "postgres"]
    passwords = {"PGPASSWORD": layout.passwords[SUPERUSER], "SANDBOX_BOT_PASSWORD": layout.passwords[CONTROL_ROLE]}
    code, output = await _run(argv, passwords)
    if code != 0:
        raise EmbeddedError(f"PostgreSQL could not be set up in {layout.postgres_data}: {last_line(output)}")
    if layout.extensions:
        await _install_extensions(layout)


async def _install_extensions(layout: Layout) -> None:
    """Into a schema that every sandbox may use. Those that are there stay, also when they are no longer named."""
    connection = await asyncpg.connect(postgres_url(layout, SUPERUSER))
    try:
        rows = await connection.fetch("SELECT name FROM pg_available_extensions ORDER BY name")
        available = [row["name"] for row in rows]
        await connection.execute(
            "CREATE SCHEMA IF NOT EXISTS extensions; GRANT USAGE ON SCHEMA extensions TO sandbox_worker"
        )
        for name in layout.extensions:
            if name not in available:
                raise EmbeddedError(
                    f"embedded.extensions: this PostgreSQL has no {name}; it has {', '.join(available)}. Name the "
                    "programs of one that has it ([embedded] postgres), or leave it out."
                )
            await connection.execute(f'CREATE EXTENSION IF NOT EXISTS "{name}" SCHEMA extensions CASCADE')
    except asyncpg.PostgresError as error:
        raise EmbeddedError(f"embedded.extensions: {error}.") from error
    finally:
        await connection.close()


def last_line(output: bytes) -> str:
    """Where a program that fails says why."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"


async def _run(argv: list[str], environment: dict[str, str]) -> tuple[int, bytes]:
    process = await asyncio.create_subprocess_exec(
        *argv, env=os.environ | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output
