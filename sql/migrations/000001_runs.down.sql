DROP FUNCTION agentevals.tell_workers;
DROP FUNCTION agentevals.tell_watchers;
DROP VIEW agentevals.run_state;
DROP TABLE agentevals.run_event, agentevals.result, agentevals.run_queue, agentevals.run_spec, agentevals.run;
