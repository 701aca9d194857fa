import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sandboxes.schema import default_template
from bot.sandboxes.template import TemplateError, read_template, split
from bot.sandboxes.template_rights import explain_refusal


def texts(text):
    return [statement.text for statement in split("x.sql", text)]


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("", []),
        (" ;; -- nothing; at all\n/* ; */", []),
        ("SELECT ';'; SELECT 2;", ["SELECT ';'", "SELECT 2"]),
        ("SELECT 'it''s; me', E'\\';', \"a;\"\"b\";", ["SELECT 'it''s; me', E'\\';', \"a;\"\"b\""]),
        ("SELECT 1 -- one; two\n, 2;", ["SELECT 1 -- one; two\n, 2"]),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $body$ SELECT 1; $$;$$ $body$; SELECT 2",
            ["CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $body$ SELECT 1; $$;$$ $body$", "SELECT 2"],
        ),
        ("DO $$ BEGIN PERFORM 1; END $$;", ["DO $$ BEGIN PERFORM 1; END $$"]),
        ("SELECT a$b$ FROM t; SELECT c$b$ FROM t", ["SELECT a$b$ FROM t", "SELECT c$b$ FROM t"]),
    ],
)
def test_a_semicolon_ends_a_statement_unless_it_is_quoted(text, statements):
    assert texts(text) == statements


@given(st.text("a;'\"$-/*\n ", max_size=40))
def test_statements_are_pieces_of_the_text_in_their_order_however_odd_it_is(text):
    rest = text
    for statement in texts(text):
        _, found, rest = rest.partition(statement)
        assert found


def test_a_statement_knows_where_it_and_each_of_its_characters_stand():
    (first, second) = split("x.sql", "-- a comment\n\nSELECT 1;\n/* two\nlines */ SELECT\n  wrong;\n")
    assert (first.place(), second.place()) == ("x.sql, line 3", "x.sql, line 5")
    assert second.place(second.text.index("wrong") + 1) == "x.sql, line 6"


def test_the_files_of_a_folder_are_read_in_the_order_of_their_names(tmp_path):
    for name, text in (("20_b.sql", "SELECT 'b'"), ("10_a.sql", "SELECT 'a';"), ("note.txt", "no SQL")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert [(one.file, one.text) for one in read_template(tmp_path)] == [
        ("10_a.sql", "SELECT 'a'"),
        ("20_b.sql", "SELECT 'b'"),
    ]


def test_a_folder_that_holds_no_template_is_refused_with_the_reason(tmp_path):
    with pytest.raises(TemplateError, match="nowhere: cannot be read: No such file"):
        read_template(tmp_path / "nowhere")
    with pytest.raises(TemplateError, match="no file"):
        read_template(tmp_path)
    (tmp_path / "latin.sql").write_bytes(b"SELECT '\xe9'")
    with pytest.raises(TemplateError, match="not UTF-8"):
        read_template(tmp_path)


def test_the_bots_own_template_is_readable():
    assert {statement.file for statement in read_template(default_template())} == {
        "10_communities.sql",
        "20_profiles.sql",
        "30_badges.sql",
    }


@pytest.mark.parametrize(
    ("message", "statement", "grant"),
    [
        ("permission denied for table games", "SELECT * FROM games", "SELECT ON TABLE games"),
        ("permission denied for table games", "UPDATE ONLY ops.games SET a = 1", "UPDATE ON TABLE ops.games"),
        ("permission denied for table games", 'DELETE FROM "ops" . games', 'DELETE ON TABLE "ops" . games'),
        ("permission denied for table games", "truncate ops.games", "TRUNCATE ON TABLE ops.games"),
        ("permission denied for view seen", "SELECT FROM ops.seen", "SELECT ON TABLE ops.seen"),
        ("permission denied for sequence s", "SELECT nextval('ops.s')", "USAGE ON SEQUENCE ops.s"),
        ("permission denied for schema ops", "CREATE INDEX ON ops.games (a)", "USAGE ON SCHEMA ops"),
        ("permission denied for schema ops", "CREATE TYPE ops.kind AS ENUM ()", "USAGE, CREATE ON SCHEMA ops"),
        ("permission denied for type kind", "CREATE TABLE t (k ops.kind)", "USAGE ON TYPE ops.kind"),
        (
            "permission denied for foreign server far",
            "CREATE FOREIGN TABLE t () SERVER far",
            "USAGE ON FOREIGN SERVER far",
        ),
    ],
)
def test_a_missing_right_is_named_as_the_grant_that_gives_it(message, statement, grant):
    assert explain_refusal(message, statement) == f"{message}; missing: GRANT {grant} TO sandbox_worker"


@pytest.mark.parametrize(
    "message", ["must be owner of table games", 'permission denied to create extension "x"', "nein"]
)
def test_where_no_grant_helps_an_administrator_does(message):
    assert explain_refusal(message, "SELECT 1").startswith(f"{message}; it is run as the sandbox's role")
