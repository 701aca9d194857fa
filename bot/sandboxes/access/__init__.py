"""Who may connect as a sandbox: credentials, what they are checked by, and what a worker is told."""
