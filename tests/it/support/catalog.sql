-- Everything that the catalog says about a schema, one line for each object, but for the record of migrations.
-- $1 schema text
WITH ours AS (
    SELECT c.oid, c.relname, c.relkind, c.reloptions
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname NOT LIKE 'schema\_migrations%'
)
SELECT format('relation %s %s %s', relname, relkind, reloptions) AS line
FROM ours
UNION ALL
SELECT format(
    'column %s.%s %s %s %s %s %s', o.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    a.attidentity, a.attcompression, pg_get_expr(d.adbin, d.adrelid)
)
FROM ours AS o
JOIN pg_attribute AS a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = o.oid AND d.adnum = a.attnum
UNION ALL
SELECT format('constraint %s.%s %s', o.relname, k.conname, pg_get_constraintdef(k.oid))
FROM ours AS o
JOIN pg_constraint AS k ON k.conrelid = o.oid
UNION ALL
SELECT pg_get_indexdef(oid)
FROM ours
WHERE relkind = 'i'
UNION ALL
SELECT format('view %s %s', relname, pg_get_viewdef(oid))
FROM ours
WHERE relkind = 'v'
UNION ALL
SELECT format('trigger %s %s', o.relname, pg_get_triggerdef(t.oid))
FROM ours AS o
JOIN pg_trigger AS t ON t.tgrelid = o.oid
UNION ALL
SELECT format('comment %s.%s %s', o.relname, d.objsubid, d.description)
FROM ours AS o
JOIN pg_description AS d ON d.objoid = o.oid AND d.classoid = 'pg_class'::regclass
UNION ALL
SELECT pg_get_functiondef(p.oid)
FROM pg_proc AS p
JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = $1
ORDER BY line
