-- Creates the schema. Not run where it exists, since even `IF NOT EXISTS` wants the right to create one.
CREATE SCHEMA IF NOT EXISTS "agentevals";
