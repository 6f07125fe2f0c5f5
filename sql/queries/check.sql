-- Answers when our tables can be read: how far the schema is, whether a migration was left half done.
SELECT version, dirty, EXISTS (SELECT FROM agentevals.run_queue) AS has_unfinished
FROM agentevals.schema_migrations
