import pytest
from pydantic import SecretStr

from bot.ready_line import stores_of
from bot.settings import Nats, Postgres, Redis, Settings

OWN = {
    "postgres": Postgres(dsn=SecretStr("postgresql://u:p@h/d")),
    "redis": Redis(url=SecretStr("redis://h")),
    "nats": Nats(url=SecretStr("nats://h")),
}


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ((), "embedded stores in data"),
        (("postgres",), "embedded redis and nats in data"),
        (("postgres", "redis"), "embedded nats in data"),
        (("postgres", "redis", "nats"), "stores of your own"),
    ],
)
def test_it_says_where_the_stores_are(own, said):
    assert stores_of(Settings(**{name: OWN[name] for name in own})) == said
