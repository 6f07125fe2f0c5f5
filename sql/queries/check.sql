-- Answers when our tables can be read.
SELECT 1
FROM agentevals.run_queue
LIMIT 1
