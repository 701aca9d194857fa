import os

from huey import PriorityRedisHuey

huey = PriorityRedisHuey("mails", url=os.environ["REDIS_URL"])


@huey.task()
def add(one, other):
    return one + other
