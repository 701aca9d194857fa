"""Alembic: what it proposes for models that add to the tables that are there, up, and down again."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

config = Config("alembic.ini")
Path("migrations/versions").mkdir()
command.revision(config, "reminders", autogenerate=True)
script = ScriptDirectory.from_config(config).get_revision("head")
up, down = Path(script.path).read_text().split("def downgrade")
for wanted in ("create_table('reminders'", "add_column('communities'", "create_index('communities_theme_idx'"):
    assert wanted in up, up
assert "drop_" not in up, up
assert "alter_" not in up, up

command.upgrade(config, "head")
command.check(config)
command.downgrade(config, "base")
command.upgrade(config, "head")
print("a migration is generated, with nothing foreign in it, and goes up and down")
