"""What a template lacks that asks for more than a sandbox's role may, as the statement that a DBA would give it by."""

from __future__ import annotations

import re

_DENIED = re.compile(r"permission denied for (?P<kind>[a-z -]+?) (?P<name>[^\s\"]\S*|\"[^\"]+\")$")
_NAME = r'(?:(?:\w+|"[^"]+")\s*\.\s*)?'
_MADE = r"\s*CREATE\s+(?:(?!(?:AS|ON|FROM)\b)\w+\s+)+"
"""What stands before the name of a thing that a statement makes."""
_RIGHTS = {
    "schema": ("SCHEMA", "USAGE"),
    "sequence": ("SEQUENCE", "USAGE"),
    "function": ("FUNCTION", "EXECUTE"),
    "procedure": ("PROCEDURE", "EXECUTE"),
    "type": ("TYPE", "USAGE"),
    "language": ("LANGUAGE", "USAGE"),
    "foreign server": ("FOREIGN SERVER", "USAGE"),
    "foreign-data wrapper": ("FOREIGN DATA WRAPPER", "USAGE"),
    "table": ("TABLE", "SELECT"),
    "view": ("TABLE", "SELECT"),
    "materialized view": ("TABLE", "SELECT"),
    "foreign table": ("TABLE", "SELECT"),
}
_TABLE_RIGHTS = {
    r"\bREFERENCES\s+": "REFERENCES",
    r"\bINSERT\s+INTO\s+": "INSERT",
    r"\bUPDATE\s+(?:ONLY\s+)?": "UPDATE",
    r"\bDELETE\s+FROM\s+(?:ONLY\s+)?": "DELETE",
    r"\bTRUNCATE\s+(?:TABLE\s+)?": "TRUNCATE",
}


def explain_refusal(message: str, statement: str) -> str:
    """PostgreSQL's message on a statement that was refused for lack of a right, with the GRANT that is missing.

    Where no GRANT would do, who else can: a template is applied as the sandbox's role, which owns what it makes.
    """
    grant = _missing_grant(message, statement)
    if grant is not None:
        return f"{message}; missing: {grant}"
    return f"{message}; it is run as the sandbox's role: leave it to an administrator of the database"


def _missing_grant(message: str, statement: str) -> str | None:
    denied = _DENIED.search(message)
    if denied is None or denied["kind"] not in _RIGHTS:
        return None
    name, (kind, right) = denied["name"], _RIGHTS[denied["kind"]]
    bare = re.escape(name.strip('"'))
    if kind == "SCHEMA":
        if re.match(rf'{_MADE}"?{bare}"?\s*\.', statement, re.IGNORECASE):
            right = "USAGE, CREATE"
    else:
        if kind == "TABLE":
            right = _table_right(bare, statement)
        if qualified := re.search(rf'{_NAME}"?\b{bare}\b"?(?:\s*\([^()]*\))?', statement):
            name = qualified[0] if kind in {"FUNCTION", "PROCEDURE"} else qualified[0].partition("(")[0].rstrip()
    return f"GRANT {right} ON {kind} {name} TO sandbox_worker"


def _table_right(bare: str, statement: str) -> str:
    for before, right in _TABLE_RIGHTS.items():
        if re.search(rf'{before}{_NAME}"?{bare}\b', statement, re.IGNORECASE):
            return right
    return "SELECT"
