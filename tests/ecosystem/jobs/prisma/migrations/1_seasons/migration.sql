ALTER TABLE "communities" ADD COLUMN "theme" TEXT;
CREATE TABLE "seasons" ("id" SERIAL PRIMARY KEY, "title" TEXT NOT NULL, "community_id" BIGINT);
ALTER TABLE "seasons" ADD CONSTRAINT "seasons_community_id_fkey" FOREIGN KEY ("community_id") REFERENCES "communities" ("id");
