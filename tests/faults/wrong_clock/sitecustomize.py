"""Python runs this at its start where this folder is on PYTHONPATH: the process's wall clock is wrong then.

By how many seconds stands in the file that WRONG_CLOCK names, and may change while the process runs.
"""

import datetime
import os
import time
from pathlib import Path

_OFFSET = Path(os.environ["WRONG_CLOCK"])
_right, _right_datetime = time.time, datetime.datetime


def _wrong():
    return _right() + float(_OFFSET.read_text())


class _Dates(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, _right_datetime)


class _WrongDatetime(_right_datetime, metaclass=_Dates):  # type: ignore[misc, valid-type]
    def __new__(cls, *parts, **more):
        if cls is _WrongDatetime:
            return _right_datetime(*parts, **more)  # some look at the type
        return super().__new__(cls, *parts, **more)

    @classmethod
    def now(cls, tz=None):
        return _right_datetime.fromtimestamp(_wrong(), tz)

    @classmethod
    def utcnow(cls):
        return _right_datetime.fromtimestamp(_wrong(), datetime.UTC).replace(tzinfo=None)


time.time = _wrong
time.time_ns = lambda: int(_wrong() * 1e9)
datetime.datetime = _WrongDatetime  # type: ignore[misc]
