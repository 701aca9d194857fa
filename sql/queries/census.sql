-- count_sandboxes --
-- Those that are not destroyed, by status, and since when the first of each should have left it. $1 grace
SELECT status, count(*) AS number,
       greatest(0, extract(epoch FROM now() - min(CASE status
           WHEN 'running' THEN expires_at
           WHEN 'expired' THEN expires_at + $1::interval
           ELSE status_changed_at END)))::float8 AS overdue_s
  FROM sandboxes WHERE status <> 'destroyed' GROUP BY status;

-- count_notices --
-- Those that have not reached everybody they are for.
SELECT count(*) AS number, coalesce(extract(epoch FROM now() - min(notice.created_at)), 0)::float8 AS oldest_s
  FROM sandbox_notices AS notice
 WHERE notice.id IN (SELECT id FROM sandbox_notices WHERE addressed_at IS NULL
                     UNION SELECT notice_id FROM sandbox_notice_deliveries WHERE settled_at IS NULL);
