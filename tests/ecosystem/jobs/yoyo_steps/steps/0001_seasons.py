from yoyo import step

steps = [
    step(
        "CREATE TABLE seasons (id int PRIMARY KEY, community_id bigint REFERENCES communities)",
        "DROP TABLE seasons",
    ),
    step("ALTER TABLE communities ADD COLUMN theme text", "ALTER TABLE communities DROP COLUMN theme"),
]
