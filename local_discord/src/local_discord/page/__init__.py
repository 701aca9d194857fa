"""A page for people: the local Discord in a browser, as one of those who are in it."""
