DROP FUNCTION agentevals.error_payload;
DROP FUNCTION agentevals.tell_deliverers;
DROP TABLE agentevals.delivery, agentevals.run_sink;
