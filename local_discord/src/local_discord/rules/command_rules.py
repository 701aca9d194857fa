"""What Discord accepts as an application command."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from local_discord.errors import ApiError, FormErrors, Path, invalid_form
from local_discord.snowflakes import is_snowflake
from local_discord.wire import Json, objects

CHAT_INPUT, USER, MESSAGE = 1, 2, 3
SUBCOMMAND, GROUP = 1, 2
STRING, INTEGER, BOOLEAN, PERSON, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT = range(3, 12)

_NAME = re.compile(r"[-_'\w\u0900-\u097f\u0e00-\u0e7f]{1,32}")
_MOST_COMMANDS = {CHAT_INPUT: 100, USER: 15, MESSAGE: 15}
_MOST_OPTIONS = 25
_MOST_CHOICES = 25
_MOST_CHARACTERS = 8000
_CHOICE_TYPES: dict[int, tuple[type, ...]] = {STRING: (str,), INTEGER: (int,), NUMBER: (int, float)}


def check_all(forms: object) -> list[Json]:
    """The forms of a bulk overwrite, or an `ApiError` that names every fault."""
    if not isinstance(forms, list):
        raise invalid_form((), "Only a list is accepted.")
    errors = FormErrors()
    for index, form in enumerate(forms):
        _check_command(errors, (index,), form)
    errors.raise_any()
    check_count(forms)
    names = Counter((form.get("type", CHAT_INPUT), form["name"]) for form in forms)
    for index, form in enumerate(forms):
        if names[form.get("type", CHAT_INPUT), form["name"]] > 1:
            errors.add(
                (index, "name"), "APPLICATION_COMMANDS_DUPLICATE_NAME", "Application command names must be unique"
            )
    errors.raise_any()
    return forms


def check(form: object) -> Json:
    """One command's form, as it was given, or an `ApiError` that names every fault."""
    errors = FormErrors()
    _check_command(errors, (), form)
    errors.raise_any()
    assert isinstance(form, dict)
    return form


def check_count(forms: Iterable[Json]) -> None:
    """An `ApiError` if one scope would hold more commands of a kind than Discord takes."""
    for kind, number in Counter(form.get("type", CHAT_INPUT) for form in forms).items():
        if number > _MOST_COMMANDS[kind]:
            raise ApiError(400, 30032, f"Maximum number of application commands reached ({_MOST_COMMANDS[kind]})")


def _check_command(errors: FormErrors, path: Path, form: Any) -> None:
    if not errors.require(isinstance(form, dict), path, "Only dictionaries may be used in this field."):
        return
    kind = form.get("type", CHAT_INPUT)
    errors.require(kind in (CHAT_INPUT, USER, MESSAGE), (*path, "type"), "Value must be one of (1, 2, 3).")
    if kind == CHAT_INPUT:
        _check_slash_name(errors, path, form)
        _check_described(errors, path, form)
        _check_options(errors, path, form.get("options") or [], depth=0)
        if _characters(form) > _MOST_CHARACTERS:
            errors.add(path, "APPLICATION_COMMAND_TOO_LARGE", f"Command exceeds maximum size ({_MOST_CHARACTERS})")
    else:
        errors.check_text((*path, "name"), form.get("name"), 32, least=1, required=True)
        errors.require(not form.get("description"), (*path, "description"), "Context menu commands have no description")
        errors.require(not form.get("options"), (*path, "options"), "Context menu commands cannot have options")
    _check_permissions(errors, path, form)


def _check_permissions(errors: FormErrors, path: Path, form: Json) -> None:
    wanted = form.get("default_member_permissions")
    valid = wanted is None or is_snowflake(wanted)
    errors.require(valid, (*path, "default_member_permissions"), "Permissions are a number.")
    for key, allowed in (("contexts", (0, 1, 2)), ("integration_types", (0, 1))):
        values = form.get(key)
        valid = values is None or (isinstance(values, list) and all(value in allowed for value in values))
        errors.require(valid, (*path, key), f"Values must be among {allowed}.")


def _check_slash_name(errors: FormErrors, path: Path, form: Json) -> None:
    name = form.get("name")
    errors.check_text((*path, "name"), name, 32, least=1, required=True)
    if isinstance(name, str) and 1 <= len(name) <= 32 and not _is_slash_name(name):
        code = "APPLICATION_COMMAND_INVALID_NAME"
        errors.add((*path, "name"), code, "Command name is invalid")
    for locale, localized in _localizations(errors, path, form, "name_localizations"):
        fine = isinstance(localized, str) and _is_slash_name(localized)
        errors.require(fine, (*path, "name_localizations", locale), "Command name is invalid")


def _localizations(errors: FormErrors, path: Path, form: Json, key: str) -> Iterable[tuple[str, Any]]:
    texts = form.get(key) or {}
    fine = errors.require(isinstance(texts, dict), (*path, key), "Only dictionaries may be used in this field.")
    return texts.items() if fine else ()


def _is_slash_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and name == name.lower()


def _check_described(errors: FormErrors, path: Path, form: Json) -> None:
    errors.check_text((*path, "description"), form.get("description"), 100, least=1, required=True)
    for locale, text in _localizations(errors, path, form, "description_localizations"):
        errors.check_text((*path, "description_localizations", locale), text, 100, least=1, required=True)


def _check_options(errors: FormErrors, path: Path, options: Any, *, depth: int) -> None:
    path = (*path, "options")
    if not errors.require(isinstance(options, list), path, "Only a list is accepted."):
        return
    errors.check_count(path, options, _MOST_OPTIONS)
    names: list[object] = []
    optional_seen = False
    kinds = {isinstance(one, dict) and one.get("type") in (SUBCOMMAND, GROUP) for one in options}
    errors.require(len(kinds) < 2, path, "Sub-command and sub-command group option types are mutually exclusive")
    for index, option in enumerate(options):
        here = (*path, index)
        if not errors.require(isinstance(option, dict), here, "Only dictionaries may be used in this field."):
            continue
        _check_option(errors, here, option, depth)
        if option.get("name") in names:
            errors.add(here, "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", "Option name already exists")
        if option.get("required") and optional_seen:
            message = "Required options must be placed before non-required options"
            errors.add(here, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", message)
        names.append(option.get("name"))
        optional_seen = optional_seen or not option.get("required")
    _check_localized_names(errors, path, objects(options))


def _check_localized_names(errors: FormErrors, path: Path, options: Iterable[Json]) -> None:
    seen: set[tuple[str, str]] = set()
    for index, option in enumerate(options):
        names = option.get("name_localizations")
        for locale, name in names.items() if isinstance(names, dict) else ():
            if (locale, name) in seen:
                here = (*path, index, "name_localizations", locale)
                errors.add(here, "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS", "Option name already exists")
            seen.add((locale, name))


def _check_option(errors: FormErrors, path: Path, option: Json, depth: int) -> None:
    _check_slash_name(errors, path, option)
    _check_described(errors, path, option)
    kind = option.get("type")
    errors.require(kind in range(1, 12), (*path, "type"), "Value must be one of (1, 2, …, 11).")
    if kind in (SUBCOMMAND, GROUP):
        fine = depth < (2 if kind == SUBCOMMAND else 1)
        errors.require(fine, (*path, "type"), "Sub-commands cannot be nested that deep")
        _check_options(errors, path, option.get("options") or [], depth=depth + 1 if kind == GROUP else 2)
    else:
        _check_choices(errors, path, option)
        _check_bounds(errors, path, option)


def _check_choices(errors: FormErrors, path: Path, option: Json) -> None:
    choices = option.get("choices") or []
    if not choices and not option.get("autocomplete"):
        return
    kind = option.get("type")
    errors.require(choice_types(kind), (*path, "type"), "This type takes no choices and no autocomplete")
    errors.require(not (choices and option.get("autocomplete")), path, "Choices and autocomplete exclude each other")
    check_choices(errors, (*path, "choices"), choices, choice_types(kind))


def check_choices(errors: FormErrors, path: Path, choices: Any, types: tuple[type, ...]) -> None:
    """Choices that a command declares, or that a bot proposes while somebody types; `types` are those of values."""
    if not errors.require(isinstance(choices, list), path, "Only a list is accepted."):
        return
    errors.check_count(path, choices, _MOST_CHOICES)
    for index, choice in enumerate(choices):
        here = (*path, index)
        if errors.require(isinstance(choice, dict), here, "Only dictionaries may be used in this field."):
            errors.check_text((*here, "name"), choice.get("name"), 100, least=1, required=True)
            value = choice.get("value")
            fine = isinstance(value, types) and not isinstance(value, bool)
            if errors.require(fine, (*here, "value"), "Could not interpret the value.") and isinstance(value, str):
                errors.check_text((*here, "value"), value, 100, least=1)


def choice_types(kind: Any) -> tuple[type, ...]:
    """Of the values that an option of that kind takes; empty for a kind that takes no choices."""
    return _CHOICE_TYPES.get(kind, ()) if isinstance(kind, int) else ()


def _check_bounds(errors: FormErrors, path: Path, option: Json) -> None:
    for keys, kinds in ((("min_value", "max_value"), (INTEGER, NUMBER)), (("min_length", "max_length"), (STRING,))):
        given = [option[key] for key in keys if option.get(key) is not None]
        if given:
            numbers = all(type(limit) in (int, float) for limit in given)
            fine = option.get("type") in kinds and numbers and given == sorted(given)
            errors.require(fine, (*path, keys[0]), f"{keys[0]} and {keys[1]} do not fit this option.")


def _characters(form: Json) -> int:
    own = len(str(form.get("name", ""))) + len(str(form.get("description", "")))
    own += sum(len(str(one.get("name", ""))) + len(str(one.get("value", ""))) for one in objects(form.get("choices")))
    return own + sum(_characters(option) for option in objects(form.get("options")))
