-- What is older than it is kept is found without reading the whole log.
CREATE INDEX sandbox_audit_log_created_idx ON sandbox_audit_log (created_at);
