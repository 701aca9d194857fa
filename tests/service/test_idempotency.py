"""What is asked for with one idempotency key is done once, by however many processes and however often."""

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.errors import InvalidTransition, NameTaken, NotAllowed, ProvisioningFailed
from bot.sandboxes.model import SandboxStatus
from tests.service.conftest import ADA, ADMIN, BOB, new_guild

HOUR = timedelta(hours=1)
_keys = itertools.count(1_000_000_000_000_000_000)


def asking(actor=ADA):
    """The actor with a key of its own."""
    return replace(actor, idempotency_key=next(_keys))


@pytest.fixture
def managers(make_manager):
    """Two processes' on the same stores."""
    return [make_manager(), make_manager()]


async def twice(managers, ask, *, at_once):
    """What the same question comes to in two processes."""
    if at_once:
        return await asyncio.gather(*(ask(manager) for manager in managers))
    return [await ask(manager) for manager in managers]


ONE_AFTER_THE_OTHER = pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])


@ONE_AFTER_THE_OTHER
async def test_an_extension_is_made_once_and_a_repeat_tells_the_same(managers, audit, at_once):
    sandbox = await managers[0].create(ADA, ttl=2 * HOUR)
    ada = asking()
    told = await twice(managers, lambda manager: manager.extend_ttl(ada, sandbox.id, 200 * HOUR), at_once=at_once)
    assert told[0] == told[1]
    assert told[0].capped
    assert (await audit(sandbox.id)).count("ttl_extended") == 1


async def test_each_key_is_a_question_of_its_own(manager):
    sandbox = await manager.create(ADA, ttl=HOUR)
    for _ in range(2):
        extended = (await manager.extend_ttl(asking(), sandbox.id, HOUR)).sandbox
    assert extended.expires_at == sandbox.expires_at + 2 * HOUR


@ONE_AFTER_THE_OTHER
async def test_a_sandbox_is_made_once(managers, audit, at_once):
    ada, guild = asking(), new_guild()
    one, other = await twice(
        managers, lambda manager: manager.create(ada, name="blue", guild_ids=[guild]), at_once=at_once
    )
    assert one == other
    assert one.status is SandboxStatus.RUNNING
    assert await managers[0].count(owner_id=ADA.id) == 1
    assert (await audit(one.id)).count("sandbox_created") == 1


@ONE_AFTER_THE_OTHER
async def test_a_server_is_bound_and_unbound_once(managers, audit, at_once):
    sandbox, guild = await managers[0].create(ADA), new_guild()
    binding, unbinding = asking(), asking()
    bound = await twice(managers, lambda manager: manager.register_guild(binding, sandbox.id, guild), at_once=at_once)
    freed = await twice(managers, lambda manager: manager.unregister_guild(unbinding, guild), at_once=at_once)
    assert [one.guild_ids for one in (*bound, *freed)] == [(guild,), (guild,), (), ()]
    await managers[0].register_guild(binding, sandbox.id, guild)  # played again from before both
    assert (await managers[0].unregister_guild(unbinding, guild)).guild_ids == ()
    changes = [event for event in await audit(sandbox.id) if event.startswith("guild")]
    assert changes == ["guild_registered", "guild_unregistered"]


async def test_a_repeated_unbinding_leaves_the_server_to_whom_it_was_given_since(manager):
    first, second, guild = await manager.create(ADA), await manager.create(BOB), new_guild()
    unbinding = asking()
    await manager.register_guild(ADA, first.id, guild)
    await manager.unregister_guild(unbinding, guild)
    await manager.register_guild(BOB, second.id, guild)
    assert (await manager.unregister_guild(unbinding, guild)).id == first.id
    assert (await manager.get_by_guild_id(guild)).id == second.id


async def test_the_owner_is_told_once_that_a_manager_has_unbound_the_server(manager, pool):
    sandbox, guild, bob = await manager.create(ADA), new_guild(), asking(BOB)
    await manager.register_guild(ADA, sandbox.id, guild)
    for _ in range(2):
        assert (await manager.unregister_guild(bob, guild, manages_guild=True)).id == sandbox.id
    assert await pool.fetchval("SELECT count(*) FROM sandbox_notices") == 1
    with pytest.raises(NotAllowed):  # whoever has lost the right meanwhile
        await manager.unregister_guild(bob, guild)


@ONE_AFTER_THE_OTHER
async def test_a_sandbox_is_destroyed_once(managers, audit, at_once):
    sandbox, ada = await managers[0].create(ADA), asking()
    ended = await twice(managers, lambda manager: manager.destroy(ada, sandbox.id), at_once=at_once)
    assert [one.status for one in ended] == [SandboxStatus.DESTROYED] * 2
    assert (await audit(sandbox.id)).count("sandbox_destroyed") == 1
    with pytest.raises(InvalidTransition):
        await managers[0].destroy(asking(), sandbox.id)


@ONE_AFTER_THE_OTHER
async def test_a_reset_is_done_once_and_what_was_written_since_stays(managers, pool, redis_client, audit, at_once):
    sandbox, ada = await managers[0].create(ADA), asking()
    await twice(managers, lambda manager: manager.reset(ada, sandbox.id), at_once=at_once)
    await redis_client.set(sandbox.redis_prefix + "key", "since")
    await pool.execute(f"INSERT INTO {sandbox.schema_name}.communities (guild_id, name) VALUES (1, 'since')")
    assert (await managers[1].reset(ada, sandbox.id)).status is SandboxStatus.RUNNING
    assert await redis_client.exists(sandbox.redis_prefix + "key")
    assert await pool.fetchval(f"SELECT count(*) FROM {sandbox.schema_name}.communities") == 1
    assert (await audit(sandbox.id)).count("sandbox_reset") == 1


@ONE_AFTER_THE_OTHER
@pytest.mark.parametrize("rotate", [False, True], ids=["the first", "new ones"])
async def test_credentials_are_issued_once_and_shown_to_the_first_alone(managers, audit, rotate, at_once):
    sandbox, ada = await managers[0].create(ADA), asking()
    if rotate:
        await managers[0].issue_credentials(ADA, sandbox.id)
    issued = await twice(
        managers, lambda manager: manager.issue_credentials(ada, sandbox.id, rotate=rotate), at_once=at_once
    )
    assert sorted((one.has_token, one.is_repeat) for one in issued) == [(False, True), (True, False)]
    assert (await audit(sandbox.id)).count("credentials_issued") == 1 + rotate


async def test_a_repeat_of_what_had_no_credentials_to_show_has_none_either(manager):
    sandbox, ada = await manager.create(ADA), asking()
    await manager.issue_credentials(ADA, sandbox.id)
    for _ in range(2):
        details = await manager.issue_credentials(ada, sandbox.id)
        assert (details.has_token, details.is_repeat) == (False, False)


async def test_lost_credentials_are_replaced_once_when_whoever_had_them_has_had_time_to_show_them(
    enforced, audit, pool
):
    sandbox, ada = await enforced.create(ADA), asking()
    first = await enforced.issue_credentials(ada, sandbox.id)
    assert await enforced.reissue_credentials(ada, sandbox.id) is None
    await pool.execute("UPDATE sandbox_idempotency_keys SET begun_at = begun_at - interval '1 h'")
    again = await asyncio.gather(*(enforced.reissue_credentials(ada, sandbox.id) for _ in range(3)))
    (second,) = [one for one in again if one is not None]
    assert second.has_token
    assert second.environment["SANDBOX_DATABASE_URL"] != first.environment["SANDBOX_DATABASE_URL"]
    assert (await audit(sandbox.id)).count("credentials_issued") == 2
    assert await enforced.reissue_credentials(asking(), sandbox.id) is None


async def test_a_repeat_is_for_the_same_person_alone(manager):
    ada = asking()
    sandbox = await manager.create(ada, name="blue")
    await manager.extend_ttl(ada, sandbox.id, HOUR)
    somebody = replace(ADMIN, idempotency_key=ada.idempotency_key)
    with pytest.raises(NotAllowed, match="Somebody else"):
        await manager.create(somebody, name="red")
    with pytest.raises(NotAllowed, match="Somebody else"):
        await manager.extend_ttl(somebody, sandbox.id, HOUR)
    assert await manager.count() == 1


async def test_a_repeat_of_somebody_who_may_no_more_is_refused(manager):
    sandbox, root = await manager.create(ADA), asking(ADMIN)
    await manager.extend_ttl(root, sandbox.id, HOUR)
    with pytest.raises(NotAllowed):
        await manager.extend_ttl(replace(root, is_admin=False), sandbox.id, HOUR)


async def test_what_was_refused_is_tried_anew(manager):
    other, ada = await manager.create(BOB, name="blue"), asking()
    with pytest.raises(NameTaken):
        await manager.create(ada, name="blue")
    await manager.destroy(BOB, other.id)
    assert (await manager.create(ada, name="blue")).owner_id == ADA.id


@pytest.fixture
def in_time(monkeypatch):
    """Whoever died is taken for dead at once."""
    monkeypatch.setattr("bot.constants.TAKEN_OVER_AFTER_S", 0.0)
    monkeypatch.setattr("bot.constants.FIRST_RUN_ASKED_EVERY_S", 0.01)


class Died(BaseException):
    """As a process ends: nothing that would clean up runs on."""


def dying(manager, monkeypatch, part, method):
    """From now on the process ends where that method is called."""

    async def die(*_, **__):
        raise Died

    monkeypatch.setattr(part(manager), method, die)


@pytest.mark.parametrize("reached", ["pending", "creating"])
async def test_a_repeat_finishes_the_sandbox_of_a_process_that_died_while_it_made_it(
    managers, monkeypatch, in_time, reached, audit
):
    dead, alive = managers
    dying(dead, monkeypatch, lambda one: one._creation, "_make_schema" if reached == "pending" else "_start")
    ada = asking()
    with pytest.raises(Died):
        await dead.create(ada, name="blue")
    assert (await alive.get_by_name("blue")).status == reached
    sandbox = await alive.create(ada, name="blue")
    assert sandbox.status is SandboxStatus.RUNNING
    assert await alive.schemas.schema_exists(sandbox.id)
    assert await alive.streams.stats(sandbox.id) is not None
    assert (await audit(sandbox.id)).count("sandbox_created") == 1


async def test_a_process_that_was_taken_for_dead_and_its_repeat_end_with_the_same_running_sandbox(
    managers, monkeypatch, in_time, audit
):
    slow, repeat = managers
    go_on, make = asyncio.Event(), slow._creation._provision_stores

    async def wait(sandbox):
        await go_on.wait()
        return await make(sandbox)

    monkeypatch.setattr(slow._creation, "_provision_stores", wait)
    ada = asking()
    first = asyncio.create_task(slow.create(ada, name="blue"))
    async with asyncio.timeout(5):
        while not await repeat.count():
            await asyncio.sleep(0.005)
    sandbox = await repeat.create(ada, name="blue")
    go_on.set()
    assert await first == sandbox
    assert sandbox.status is SandboxStatus.RUNNING
    assert await repeat.streams.stats(sandbox.id) is not None
    assert (await audit(sandbox.id)).count("status_changed") == 2


async def test_a_repeated_create_tells_that_the_first_one_failed(manager, monkeypatch):
    ada = asking()

    async def fail(*_):
        raise RuntimeError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(manager._creation, "_make_schema", fail)
        with pytest.raises(ProvisioningFailed):
            await manager.create(ada, name="blue")
    with pytest.raises(ProvisioningFailed):
        await manager.create(ada, name="blue")
    assert await manager.count() == 0


async def test_a_repeated_create_makes_no_sandbox_anew_that_was_destroyed_since(manager):
    ada = asking()
    sandbox = await manager.create(ada, name="blue")
    await manager.destroy(ADA, sandbox.id)
    again = await manager.create(ada, name="blue")
    assert (again.id, again.status) == (sandbox.id, SandboxStatus.DESTROYED)


async def test_a_repeat_ends_what_a_process_that_died_has_begun_to_destroy(managers, monkeypatch):
    dead, alive = managers
    sandbox, ada = await alive.create(ADA), asking()
    dying(dead, monkeypatch, lambda one: one._teardown, "finish")
    with pytest.raises(Died):
        await dead.destroy(ada, sandbox.id)
    assert (await alive.destroy(ada, sandbox.id)).status is SandboxStatus.DESTROYED


async def test_a_repeat_brings_a_reset_to_its_end_that_a_dead_process_has_begun(managers, monkeypatch, in_time, audit):
    dead, alive = managers
    sandbox, ada = await alive.create(ADA), asking()
    dying(dead, monkeypatch, lambda one: one._reset, "_recreate_schema")
    with pytest.raises(Died):
        await dead.reset(ada, sandbox.id)
    await alive.reset(ada, sandbox.id)
    assert (await audit(sandbox.id)).count("sandbox_reset") == 1


async def test_a_process_that_was_taken_for_dead_drops_nothing_of_what_was_written_since_its_repeat(
    managers, monkeypatch, in_time, audit, pool
):
    slow, repeat = managers
    sandbox, ada = await repeat.create(ADA), asking()
    waits, go_on, recreate = asyncio.Event(), asyncio.Event(), slow._reset._recreate_schema

    async def wait(*arguments):
        waits.set()
        await go_on.wait()
        await recreate(*arguments)

    monkeypatch.setattr(slow._reset, "_recreate_schema", wait)
    first = asyncio.create_task(slow.reset(ada, sandbox.id))
    await waits.wait()
    await repeat.reset(ada, sandbox.id)
    await pool.execute(f"INSERT INTO {sandbox.schema_name}.communities (guild_id, name) VALUES (1, 'since')")
    go_on.set()
    assert (await first).status is SandboxStatus.RUNNING
    assert await pool.fetchval(f"SELECT count(*) FROM {sandbox.schema_name}.communities") == 1
    assert (await audit(sandbox.id)).count("sandbox_reset") == 1


@ONE_AFTER_THE_OTHER
async def test_work_of_several_steps_is_done_once_and_a_repeat_has_its_result(managers, at_once):
    runs, ada = itertools.count(1), asking()

    async def work():
        await asyncio.sleep(0)
        return {"run": next(runs)}

    told = await twice(managers, lambda manager: manager.idempotency.run(ada, "sweep", work), at_once=at_once)
    assert told == [{"run": 1}, {"run": 1}]


async def test_keys_are_forgotten_after_a_day(manager, pool):
    for age in (23 * HOUR, 25 * HOUR):
        ada = asking()
        await manager.create(ada)
        query = "UPDATE sandbox_idempotency_keys SET begun_at = now() - $2::interval WHERE key = $1"
        await pool.execute(query, ada.idempotency_key, age)
    assert await manager.idempotency.expire() == 1
    assert await manager.idempotency.expire() == 0


async def test_no_secret_is_kept_with_a_key(enforced, pool):
    sandbox, ada = await enforced.create(ADA), asking()
    details = await enforced.issue_credentials(ada, sandbox.id)
    (row,) = await pool.fetch("SELECT * FROM sandbox_idempotency_keys")
    assert row["result"] == {"issued": True}
    assert details.environment["SANDBOX_DATABASE_URL"].split("@")[0].rpartition(":")[2] not in str(dict(row))


async def test_who_asks_without_a_key_is_the_first_each_time(manager, pool):
    sandbox = await manager.create(ADA, ttl=HOUR)
    for _ in range(2):
        extended = (await manager.extend_ttl(ADA, sandbox.id, HOUR)).sandbox
    assert extended.expires_at == sandbox.expires_at + 2 * HOUR
    assert await pool.fetchval("SELECT count(*) FROM sandbox_idempotency_keys") == 0
