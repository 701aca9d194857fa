CREATE TABLE profiles (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    community_id bigint NOT NULL REFERENCES communities (id) ON DELETE CASCADE,
    user_id      numeric(20) NOT NULL,
    display_name text NOT NULL,
    bio          text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (community_id, user_id)
);
CREATE INDEX profiles_user_idx ON profiles (user_id);
