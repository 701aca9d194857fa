"""What a scrape is read from: each part's own counts, brought into the form of the table in `bot.metrics`."""
