"""`sandbox-worker run`: a program that knows nothing of sandboxes, for which Discord is the relay."""
