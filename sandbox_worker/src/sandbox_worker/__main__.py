"""`python -m sandbox_worker`, the same as `sandbox-worker`."""

from sandbox_worker.cli import main

main()
