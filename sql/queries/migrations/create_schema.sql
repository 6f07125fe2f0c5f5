-- Creates the schema. Not run if it exists, since even `IF NOT EXISTS` requires the privilege to create one.
CREATE SCHEMA IF NOT EXISTS "agentevals";
