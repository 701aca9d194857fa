"""Tortoise: schemas made from models, with a foreign key to a table that is there."""

import os

from tortoise import Tortoise, fields, run_async
from tortoise.models import Model


class Community(Model):
    id = fields.BigIntField(primary_key=True, generated=True)
    guild_id = fields.DecimalField(max_digits=20, decimal_places=0, unique=True)
    name = fields.TextField()

    class Meta:
        table = "communities"


class Season(Model):
    id = fields.IntField(primary_key=True)
    community = fields.ForeignKeyField("models.Community", related_name="seasons")
    name = fields.TextField()


async def main():
    await Tortoise.init(db_url=os.environ["DATABASE_URL"], modules={"models": ["__main__"]})
    await Tortoise.generate_schemas()
    lab = await Community.create(guild_id=1, name="Lab")
    await Season.bulk_create([Season(community=lab, name=name) for name in ("spring", "summer")])
    assert await Season.filter(community__name="Lab").count() == 2
    await lab.delete()
    assert not await Season.exists()


run_async(main())
print("a table refers to one that was there, and rows go with it")
