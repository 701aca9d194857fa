"""PgBouncer between the bot and PostgreSQL."""

from __future__ import annotations

import pytest

from bot.control_plane import open_control_plane
from bot.settings import Settings, SettingsError
from bot.stores.opening import open_stores
from tests.conftest import store_settings
from tests.service.conftest import ADA
from tests.service.other_servers import needs_pgbouncer, pgbouncer

pytestmark = needs_pgbouncer


async def test_in_session_mode_all_goes_on_as_without_it(stores, dsn, tmp_path, nats_client, redis_client):
    async with pgbouncer(tmp_path, dsn, "session") as pooled:
        settings = Settings(**store_settings(stores, pooled))
        async with open_stores(settings) as opened, open_control_plane(settings, opened) as manager:
            sandbox = await manager.create(ADA)
            await manager.issue_credentials(ADA, sandbox.id)
            assert (await manager.get_health(sandbox.id)).ok
            await manager.destroy(ADA, sandbox.id)


@pytest.mark.parametrize("mode", ["transaction", pytest.param("statement", marks=pytest.mark.long)])
async def test_a_pooler_without_sessions_is_refused_by_name(stores, dsn, tmp_path, mode, monkeypatch):
    monkeypatch.setattr("bot.constants.POSTGRES_NOTIFIED_WITHIN_S", 0.5)
    async with pgbouncer(tmp_path, dsn, mode) as pooled:
        with pytest.raises(SettingsError, match="set pool_mode = session for the bot's database"):
            await open_stores(Settings(**store_settings(stores, pooled))).__aenter__()
