"""peewee: models, a migration of a table that is there, and back."""

import os

from peewee import BigAutoField, BigIntegerField, ForeignKeyField, Model, TextField
from playhouse.db_url import connect
from playhouse.migrate import PostgresqlMigrator, migrate

database = connect(os.environ["DATABASE_URL"])


class Base(Model):
    class Meta:
        database = database


class Community(Base):
    id = BigAutoField()
    guild_id = BigIntegerField(unique=True)
    name = TextField()
    theme = TextField(default="dark")

    class Meta:
        table_name = "communities"


class Season(Base):
    community = ForeignKeyField(Community, backref="seasons", on_delete="CASCADE")
    name = TextField()


migrator = PostgresqlMigrator(database)
with database.atomic():
    migrate(
        migrator.add_column("communities", "theme", TextField(null=True)), migrator.add_index("communities", ("theme",))
    )
database.create_tables([Season])
lab = Community.create(guild_id=1, name="Lab", theme="light")
Season.insert_many([{"community": lab, "name": name} for name in ("spring", "summer")]).execute()
assert [season.name for season in lab.seasons.order_by(Season.id)] == ["spring", "summer"]
assert Community.delete().where(Community.theme == "light").execute() == 1
assert Season.select().count() == 0
database.drop_tables([Season])
with database.atomic():
    migrate(migrator.drop_column("communities", "theme"))
print("a column is added, a table refers to it, and both are gone again")
