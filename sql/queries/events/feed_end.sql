-- The end of the feed: every event of older transactions is final.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS transaction
