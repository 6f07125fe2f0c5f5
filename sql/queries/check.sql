-- The version of the schema, and whether it is dirty. Reads our tables, so an answer means that they can be read.
SELECT version, dirty, EXISTS (SELECT FROM agentevals.run_queue) AS has_unfinished
FROM agentevals.schema_migrations
