"""The runbook's entries without an alert, played on real servers; run by `make runbook`."""
