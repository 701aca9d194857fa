CREATE TABLE badges (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    profile_id bigint NOT NULL REFERENCES profiles (id) ON DELETE CASCADE,
    name       text NOT NULL,
    awarded_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (profile_id, name)
);
