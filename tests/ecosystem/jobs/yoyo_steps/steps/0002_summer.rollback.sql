DELETE FROM seasons;
