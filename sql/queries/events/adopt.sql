-- Makes events of another cluster the oldest, after a dump was restored into a new one.
--
-- Transactions are counted anew there: rows with numbers still to come would hold the feed back until then.
UPDATE agentevals.run_event
SET transaction = '3'
WHERE transaction > pg_current_xact_id()
