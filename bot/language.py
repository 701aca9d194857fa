"""What the bot says in other languages: English stands in the code, the others in `bot/locales/*.po`.

Who is spoken to is set once per interaction, and what has no translation is said in English.
"""

from __future__ import annotations

import gettext
import io
from contextvars import ContextVar
from functools import cache
from pathlib import Path

import polib

FOLDER = Path(__file__).parent / "locales"
COMMAND_NAME = "command name"
"""The `msgctxt` of the names of commands and options: other words than the same ones in a sentence."""

_locale: ContextVar[str] = ContextVar("locale", default="en-US")


class Phrase(str):
    """A value that is said in a sentence and translated like one."""

    __slots__ = ()


def speak(locale: str) -> None:
    """From now on this task and those that it starts say everything in that language of Discord's (`de`, `es-ES`)."""
    _locale.set(locale)


def say(sentence: str, /, **data: object) -> str:
    """The sentence in the language of who is spoken to, with the data in its `{places}`."""
    return _filled(catalogue(_locale.get()).gettext(sentence), data)


def say_count(number: int, one: str, many: str, /, **data: object) -> str:
    """The same for a `{number}` of things, in the form that the language has for so many."""
    return _filled(catalogue(_locale.get()).ngettext(one, many, number), {"number": number, **data})


@cache
def catalogue(locale: str) -> gettext.NullTranslations:
    """The translations into a language, or into what it is a variety of; for one that has none they are English."""
    for language in (locale, locale.partition("-")[0]):
        if language in languages():
            entries = polib.pofile(str(FOLDER / f"{language}.po"), encoding="utf-8")
            return gettext.GNUTranslations(io.BytesIO(entries.to_binary()))
    return gettext.NullTranslations()


@cache
def languages() -> frozenset[str]:
    """Those that there are translations into."""
    return frozenset(path.stem for path in FOLDER.glob("*.po"))


def _filled(sentence: str, data: dict[str, object]) -> str:
    """A sentence without data is text as it is, braces and all."""
    if not data:
        return sentence
    return sentence.format(**{name: say(value) if isinstance(value, Phrase) else value for name, value in data.items()})
