-- The position after everything that is final.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS transaction
