import os

import dj_database_url

SECRET_KEY = "only for this job"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "reminders"]
DATABASES = {"default": dj_database_url.config()}
if "NEW_TEST_DATABASE" not in os.environ:  # tests run in the database that there is, and are rolled back
    DATABASES["default"]["TEST"] = {"NAME": DATABASES["default"]["NAME"]}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["REDIS_URL"]}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
