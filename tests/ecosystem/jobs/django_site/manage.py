"""Django: migrations up and down, a foreign key to a table that was there, tests, and the cache."""

import io
import os
import sys

import django
from django.core.management import call_command

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
if "--new-test-database" in sys.argv:
    os.environ["NEW_TEST_DATABASE"] = "yes"
django.setup()

from django.contrib.auth.models import User
from django.core.cache import cache
from reminders.models import Community, Reminder

call_command("makemigrations", "reminders", verbosity=0)
call_command("migrate", verbosity=0)
call_command("test", keepdb="NEW_TEST_DATABASE" not in os.environ, interactive=False, verbosity=0)
lab = Community.objects.create(guild_id=1, name="Lab")
Reminder.objects.create(community=lab, text="water the plants")
User.objects.create_user("ada", password="a long one")
assert Reminder.objects.get(community__name="Lab").text == "water the plants"
tables = io.StringIO()
call_command("inspectdb", "profiles", stdout=tables)
assert "class Profiles" in tables.getvalue()
call_command("flush", interactive=False, verbosity=0)
assert not User.objects.exists()
call_command("migrate", "reminders", "zero", verbosity=0)

cache.set("greeting", "hello", timeout=60)
cache.set_many({"one": 1, "two": 2})
assert cache.incr("one") == 2
assert cache.get("greeting") == "hello"
cache.clear()
assert cache.get("greeting") is None
print("tests pass, migrations go up and down, the cache is filled and cleared")
