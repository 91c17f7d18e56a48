"""The table that is loaded: twelve columns of the kinds that hurt."""

from __future__ import annotations

POSTGRES = """
CREATE TABLE lines AS
SELECT i::bigint AS id,
       (i * 7919::bigint % 200003)::int AS customer_id,
       'SKU-' || lpad((i * 104729::bigint % 50021)::text, 6, '0') AS sku,
       (ARRAY['Schraube ⌀8 mm', 'Größe «L»', '螺丝刀', 'tasse à café', 'Mug 🙂', 'plain box'])[1 + i % 6] AS title,
       CASE WHEN i % 17 = 0 THEN NULL ELSE (i % 400)::int END AS quantity,
       ((i * 31::bigint % 1000000) / 100.0)::numeric(12,2) AS price,
       ((i * 13::bigint % 100000000) / 10000.0)::numeric(14,4) AS revenue,
       timestamptz '2023-01-01 00:00:00+00' + i * interval '17.000001 seconds' AS ordered_at,
       CASE WHEN i % 23 = 0 THEN NULL ELSE timestamptz '2023-01-01 00:00:00+00' + i * interval '19 seconds' END AS updated_at,
       jsonb_build_object('channel', i % 5, 'tags', jsonb_build_array('a', i % 9), 'ratio', i / 7.0) AS doc,
       CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE 'line ' || i || chr(10) || 'says "hi", twice' END AS note,
       i % 3 = 0 AS active
FROM generate_series(1, {rows}) AS i
"""
POSTGRES_AFTER = ("ALTER TABLE lines ADD PRIMARY KEY (id)", "VACUUM ANALYZE lines")

MYSQL = (
    """
CREATE TABLE `lines` (
  id bigint PRIMARY KEY, customer_id int, sku varchar(20), title varchar(60), quantity int, price decimal(12,2),
  revenue decimal(14,4), ordered_at datetime(6), updated_at datetime, doc json, note text, active int
) CHARACTER SET utf8mb4
""",
    """
INSERT INTO `lines`
SELECT seq, seq * 7919 % 200003, concat('SKU-', lpad(seq * 104729 % 50021, 6, '0')),
       elt(1 + seq % 6, 'Schraube ⌀8 mm', 'Größe «L»', '螺丝刀', 'tasse à café', 'Mug 🙂', 'plain box'),
       if(seq % 17 = 0, NULL, seq % 400), (seq * 31 % 1000000) / 100, (seq * 13 % 100000000) / 10000,
       timestamp('2023-01-01') + interval seq * 17000001 microsecond,
       if(seq % 23 = 0, NULL, timestamp('2023-01-01') + interval seq * 19 second),
       json_object('channel', seq % 5, 'ratio', seq / 7),
       CASE seq % 4 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE concat('line ', seq, char(10), 'says "hi", twice') END,
       seq % 3 = 0
FROM seq_1_to_{rows}
""",
)
# What a load must have kept, as DuckDB reads it from the result; compared with the database's own figures.
EXACT = {
    "rows": ("count(*)", "count(*)"),
    "price": ("sum(price::decimal(38,9))::decimal(38,4)::varchar", "sum(price)::numeric(38,4)::text"),
    "revenue": ("sum(revenue::decimal(38,9))::decimal(38,4)::varchar", "sum(revenue)::numeric(38,4)::text"),
    "time": (
        "sum(epoch_us(ordered_at)::hugeint)::varchar",
        "sum((extract(epoch from ordered_at) * 1000000)::bigint)::text",
    ),
    "quantity NULL": ("count(*) - count(quantity)", "count(*) - count(quantity)"),
    "note NULL": ("count(*) - count(note)", "count(*) - count(note)"),
    "note empty": ("count(*) filter (note = '')", "count(*) filter (where note = '')"),
    "json bytes": ("sum(octet_length(encode(doc::varchar)))", "sum(octet_length(doc::text))"),
    "unicode": ("sum(octet_length(encode(title)))", "sum(octet_length(title))"),
}
TYPES = {"price": "DECIMAL", "revenue": "DECIMAL", "ordered_at": "TIMESTAMP WITH TIME ZONE", "quantity": "BIGINT"}
