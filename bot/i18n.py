"""Translations: English stands in the code, the other languages in `bot/locales/*.po`.

The locale is activated once per interaction; what has no translation stays English.
"""

from __future__ import annotations

import io
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

import polib

LOCALES = Path(__file__).parent / "locales"
COMMAND_NAME = "command name"
"""The `msgctxt` of the names of commands and options: other words than the same ones in a sentence."""

_locale: ContextVar[str] = ContextVar("locale", default="en-US")


class Translatable(str):
    """A text that is translated only when it is put into a sentence, like a status or the label of a button."""

    __slots__ = ()


def activate_locale(locale: str) -> None:
    """From now on this task and those that it starts translate into that locale of Discord's (`de`, `es-ES`)."""
    _locale.set(locale)


def gettext(sentence: str, /, **data: object) -> str:
    """The sentence in the active locale, with the data in its `{places}`."""
    return _format(translations(_locale.get()).gettext(sentence), data)


def ngettext(number: int, one: str, many: str, /, **data: object) -> str:
    """As `gettext`, in the plural form that the language has for so many; `{number}` is one of the places."""
    return _format(translations(_locale.get()).ngettext(one, many, number), {"number": number, **data})


@cache
def translations(locale: str) -> NullTranslations:
    """The catalogue of a locale or of its language (`de` for `de-AT`); an empty one, so English, if there is none."""
    for language in (locale, locale.partition("-")[0]):
        if language in languages():
            entries = polib.pofile(str(LOCALES / f"{language}.po"), encoding="utf-8")
            return GNUTranslations(io.BytesIO(entries.to_binary()))
    return NullTranslations()


@cache
def languages() -> frozenset[str]:
    """The languages that have a catalogue; English has none."""
    return frozenset(path.stem for path in LOCALES.glob("*.po"))


def _format(sentence: str, data: dict[str, object]) -> str:
    """A sentence without data is text as it is, braces and all."""
    if not data:
        return sentence
    places = {name: gettext(value) if isinstance(value, Translatable) else value for name, value in data.items()}
    return sentence.format(**places)
