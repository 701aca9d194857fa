-- depends: 0001_seasons
INSERT INTO seasons VALUES (1);
