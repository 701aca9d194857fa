from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import names
from bot.errors import InvalidInput
from bot.sandboxes.schema import SchemaProvisioner

ID = UUID("1a2b3c4d-5e6f-4a7b-8c9d-0e1f2a3b4c5d")


def test_every_name_of_a_sandbox_follows_from_its_id():
    assert names.schema_name(ID) == "sandbox_1a2b3c4d"
    assert names.stream_name(ID) == "SANDBOX_1a2b3c4d"
    assert names.redis_prefix(ID) == f"sandbox:{ID}:"
    assert names.nats_prefix(ID) == f"sandbox.{ID}."
    assert names.event_subjects(ID) == f"sandbox.{ID}.events.>"


@given(st.uuids())
def test_the_short_id_is_read_back_from_the_schema_name(sandbox_id):
    schema = SchemaProvisioner.generate_schema_name(sandbox_id)
    assert SchemaProvisioner.extract_sandbox_id(schema) == sandbox_id.hex[:8]


@pytest.mark.parametrize(
    "schema", ["sandbox_team_shared", "sandboxX1a2b3c4d", "sandbox_1a2b3c4d5", "sandbox_1A2B3C4D", "public", ""]
)
def test_a_schema_that_is_only_named_alike_has_no_sandbox_id(schema):
    assert SchemaProvisioner.extract_sandbox_id(schema) is None


@given(st.text(max_size=60))
def test_a_default_name_is_valid_whatever_the_owner_is_called(owner):
    assert names.check_name(names.default_name(owner))


@pytest.mark.parametrize("name", ["ab", "a" * 41, "white space", "näme", "semi;colon", "$(id)", "", "under_score"])
def test_a_bad_name_is_refused(name):
    with pytest.raises(InvalidInput):
        names.check_name(name)


@pytest.mark.parametrize("name", ["1a2b3c4d", " 1A2B3C4D", "deadbeef", "0" * 32, str(ID), "0" * 30 + "-0-0"])
def test_a_name_that_looks_like_an_id_is_refused(name):
    with pytest.raises(InvalidInput):
        names.check_name(name)


@pytest.mark.parametrize("name", ["1a2b3c4", "1a2b3c4d5", "1a2b-c4d", "deadbeeg", "sandbox-1a2b3c4d", "0" * 31])
def test_a_name_that_could_be_no_id_is_taken_though_it_has_its_digits(name):
    assert names.check_name(name) == name


def test_an_owner_who_is_called_like_an_id_gets_no_default_name_that_looks_like_one(monkeypatch):
    monkeypatch.setattr(names, "random_suffix", lambda length: "abcdef"[:length])
    assert names.default_name("0123456789abcdef0123456789").startswith("sandbox-")


def test_a_name_is_stored_in_lower_case():
    assert names.check_name(" Blue-42 ") == "blue-42"


@pytest.mark.parametrize("value", [0, -1, 123, "1" * 16, "1" * 21, "9" * 20, "12345678901234567x", "٣" * 18])
def test_what_is_no_snowflake_is_refused(value):
    with pytest.raises(InvalidInput, match="server id"):
        names.check_snowflake(value, "server id")


@given(st.integers(min_value=10**16, max_value=2**64 - 1))
def test_a_snowflake_is_read_from_number_and_text(value):
    assert names.check_snowflake(value, "id") == names.check_snowflake(f" {value} ", "id") == value


HEX = ID.hex


@pytest.mark.parametrize(
    ("subject", "sandbox_id"),
    [
        (f"_INBOX_{HEX}.x", ID),
        (f"_INBOX_{HEX}.x.y-z", ID),
        (f"_INBOX_{HEX}", None),
        (f"_INBOX_{HEX}.", None),
        (f"_INBOX_{HEX}.*", None),
        (f"_INBOX_{HEX}.x.>", None),
        (f"_INBOX_{HEX}x.y", None),
        (f"_INBOX_{HEX.upper()}.x", None),
        (f"_INBOX_{ID}.x", None),
        (f"x_INBOX_{HEX}.x", None),
        (f"_INBOX.{HEX}.x", None),
        (f"{HEX}.x", None),
        ("_INBOX_probe.x", None),
        ("", None),
    ],
)
def test_an_inbox_is_told_from_what_only_looks_like_one(subject, sandbox_id):
    assert names.sandbox_of_inbox(subject) == sandbox_id
    assert names.is_inbox(subject, ID) == (sandbox_id is not None)
