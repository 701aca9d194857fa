"""python-dotenv: what it reads in `.env` is what was written there."""

import os

from dotenv import dotenv_values

read = dotenv_values(".env")
assert read["DATABASE_URL"].startswith("postgresql://")
assert read == {name: os.environ[name] for name in read}
print("every value is read as it was written")
