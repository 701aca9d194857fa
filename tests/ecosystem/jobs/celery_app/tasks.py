import os

from celery import Celery

url = os.environ["REDIS_URL"]
app = Celery("tasks", broker=url, backend=url)
app.conf.broker_connection_retry_on_startup = True
if prefix := os.environ.get("RESULTS_PREFIX"):
    app.conf.result_backend_transport_options = {"global_keyprefix": prefix}


@app.task
def add(one, other):
    return one + other
