"""How a sandbox begins, is kept while it lives, and ends: by request, by time, or because its process died."""
