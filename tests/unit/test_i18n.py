"""What the code says, and what the catalogues have of it."""

import ast
import contextvars
import string
from pathlib import Path

import discord
import polib
import pytest
from discord import app_commands

from bot import i18n
from bot.client import COGS, CommandTranslator, SandboxBot
from bot.errors import InvalidInput, InvalidTransition, Lack, NameTaken
from bot.i18n import COMMAND_NAME, activate_locale, gettext, ngettext
from bot.sandboxes.health import HealthLevel
from bot.sandboxes.model import SandboxStatus
from sandbox_worker import durations

PACKAGE = Path(i18n.__file__).parent
ENGLISH_ONLY = {PACKAGE / "sandboxes" / "access" / "replay.py", PACKAGE / "stores" / "nats.py"}
"""Answers to workers over NATS, which have no language."""

TRANSLATING = {
    "gettext",
    "ngettext",
    "Translatable",
    "InvalidInput",
    "WrongDuration",
    "NotAllowed",
    "InvalidTransition",
    "require_running",
}


def name_of(call):
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr == "__init__":
        return "InvalidInput"  # an error's own sentence
    return function.id if isinstance(function, ast.Name) else ""


def sentences_in(path):
    """(sentence, plural or None) of every call that says something."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or name_of(node) not in TRANSLATING:
            continue
        texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if name_of(node) == "ngettext":
            yield texts[0], texts[1]
        elif name_of(node) in {"InvalidTransition", "require_running"}:
            yield from ((text, None) for text in texts)
        elif texts and isinstance(node.args[0], ast.Constant):
            yield texts[0], None


def modules():
    """All but those that no person on Discord hears, such as the tour; and what the kit says of durations."""
    heard = [path for path in PACKAGE.rglob("*.py") if "demo" not in path.relative_to(PACKAGE).parts]
    return [path for path in (*heard, Path(durations.__file__)) if path not in ENGLISH_ONLY]


def said_in_code():
    said = {(None, *sentence) for path in modules() for sentence in sentences_in(path)}
    words = {"server id", "Discord id", *SandboxStatus, *HealthLevel, *Lack}
    return said | {(None, str(word), None) for word in words}


class Listener(app_commands.Translator):
    """Hears what Discord would be told."""

    def __init__(self):
        self.heard = set()

    async def translate(self, string, locale, context):
        is_name = context.location.name in {"command_name", "group_name", "parameter_name"}
        self.heard.add((COMMAND_NAME if is_name else None, string.message, None))


@pytest.fixture
async def bot():
    bot = SandboxBot(None, None, None, custom_ids=None, own_messages=None, intents=discord.Intents.default())
    for cog in COGS:
        await bot.load_extension(cog)
    return bot


async def said_of_commands(bot):
    listener = Listener()
    for command in bot.tree.get_commands():
        await command.get_translated_payload(bot.tree, listener)
    return listener.heard


def entries(name):
    return {
        (entry.msgctxt, entry.msgid, entry.msgid_plural or None): entry
        for entry in polib.pofile(str(i18n.LOCALES / f"{name}.po"))
    }


def places(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("name", sorted(i18n.languages()))
async def test_everything_that_is_said_is_translated_and_nothing_else(bot, name):
    said, known = said_in_code() | await said_of_commands(bot), entries(name)
    missing = {key for key in said if key not in known or not known[key].translated()}
    assert sorted(map(str, missing)) == []
    assert sorted(map(str, known.keys() - said)) == []


@pytest.mark.parametrize("name", sorted(i18n.languages()))
def test_a_translation_has_the_places_of_the_original(name):
    for entry in entries(name).values():
        for text in (entry.msgstr, *entry.msgstr_plural.values()):
            assert not text or places(text) == places(entry.msgid_plural or entry.msgid), entry.msgid


def test_what_a_person_is_told_is_no_sentence_put_together_beforehand():
    """It could not be translated: the sentence and its data go separate ways."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and name_of(node) in TRANSLATING:
                assert not any(isinstance(one, ast.JoinedStr) for one in node.args), (path, node.lineno)


async def test_commands_are_told_to_discord_in_german_too(bot):
    create = next(one for one in bot.tree.get_command("sandbox").commands if one.name == "create")
    payload = await create.get_translated_payload(bot.tree, CommandTranslator())
    assert payload["name"] == "create"
    assert payload["name_localizations"]["de"] == "erstellen"
    assert payload["description_localizations"]["de"].startswith("Eine Sandbox erstellen")
    assert set(payload["name_localizations"]) == {"de"}


def in_locale(locale, what):
    """In a context of its own, as a task has one."""

    def in_context():
        activate_locale(locale)
        return what()

    return contextvars.copy_context().run(in_context)


def test_a_sentence_is_said_in_the_language_of_who_is_spoken_to_and_in_english_without_one():
    def sentence():
        return gettext("Sandbox “{name}” is running", name="{blue}")

    assert in_locale("de", sentence) == "Sandbox „{blue}“ läuft"
    assert in_locale("fr", sentence) == in_locale("en-GB", sentence) == sentence() == "Sandbox “{blue}” is running"
    assert in_locale("de", lambda: ngettext(2, "{number} server", "{number} servers")) == "2 Server"
    assert in_locale("de", lambda: gettext("never heard of")) == "never heard of"


def test_an_error_is_a_sentence_in_english_and_data_for_every_other_language():
    error = InvalidTransition("blue", SandboxStatus.EXPIRED, "destroyed")
    assert str(error) == "Sandbox “blue” is expired and cannot be destroyed. `/sandbox list` shows its state."
    assert in_locale("de", lambda: gettext(error.sentence, **error.data)).startswith(
        "Sandbox „blue“ ist abgelaufen und"
    )
    assert (NameTaken("blue").data, str(InvalidInput("{braces} stay"))) == ({"name": "blue"}, "{braces} stay")
