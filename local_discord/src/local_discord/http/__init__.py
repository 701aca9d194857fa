"""The HTTP API, as far as bots use it: who may ask, what a form may say, and the routes."""
