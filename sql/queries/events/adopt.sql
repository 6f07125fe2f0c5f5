-- Makes the events of a restored dump the oldest in the feed.
--
-- A new cluster counts transactions from the start. Rows with future transaction ids would not be final, and so hold
-- the feed back, until the cluster reaches those ids.
UPDATE agentevals.run_event
SET transaction = '3'
WHERE transaction > pg_current_xact_id()
