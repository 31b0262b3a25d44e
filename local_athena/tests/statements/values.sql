-- VALUES as a table.
-- source: sql/values.html

-- values_alone
VALUES 1, 2, 3
--> "1"
--> "2"
--> "3"

-- values_as_a_table
SELECT id, name FROM (VALUES (1, 'a'), (2, 'b'), (3, 'c')) AS t (id, name) WHERE id > 1 ORDER BY id DESC
--> "3","c"
--> "2","b"

-- values_without_brackets_in_from
SELECT x + 1 FROM (VALUES 1, 2) AS t (x) ORDER BY 1
--> "2"
--> "3"

-- values_in_a_join
SELECT s.id, n.name FROM sales AS s JOIN (VALUES ('JP', 'Japan'), ('US', 'America')) AS n (code, name) ON s.country = n.code WHERE s.id < 4 ORDER BY s.id
--> "1","Japan"
--> "2","Japan"
--> "3","America"

-- values_of_one_column_in_a_join
SELECT s.id FROM sales AS s JOIN (VALUES 2, 4, 99) AS k (id) ON s.id = k.id ORDER BY s.id
--> "2"
--> "4"

-- values_in_with
WITH t (id, name) AS (VALUES (1, 'a'), (2, 'b')) SELECT name FROM t WHERE id = 2
--> "b"

-- values_in_a_condition
SELECT id FROM sales WHERE id IN (VALUES 1, 3, 77) ORDER BY id
--> "1"
--> "3"

-- values_of_mixed_widths
SELECT x, y FROM (VALUES (1, 1), (2.5e0, 2147483648)) AS t (x, y) ORDER BY x
--> "1.0","1"
--> "2.5","2147483648"

-- values_with_null_first
SELECT x FROM (VALUES NULL, 'b', 'a') AS t (x) ORDER BY x
--> "a"
--> "b"
-->

-- values_of_expressions
SELECT x FROM (VALUES 1 + 1, abs(-5), length('abc')) AS t (x) ORDER BY x
--> "2"
--> "3"
--> "5"

-- values_of_arrays_and_maps
SELECT a[2], m['k'] FROM (VALUES (ARRAY[1, 2], MAP(ARRAY['k'], ARRAY['v']))) AS t (a, m)
--> "2","v"

-- values_of_dates
SELECT max(d), min(t) FROM (VALUES (DATE '2026-11-14', TIMESTAMP '2026-11-15 01:00:00.000'), (DATE '2026-11-15', TIMESTAMP '2026-11-15 00:30:00.000')) AS x (d, t)
--> "2026-11-15","2026-11-15 00:30:00.000"

-- values_with_a_union
VALUES 1, 2 UNION ALL VALUES 2, 3 ORDER BY 1
--> "1"
--> "2"
--> "2"
--> "3"

-- values_in_order_with_a_limit
VALUES 3, 1, 2 ORDER BY 1 LIMIT 2
--> "1"
--> "2"

-- values_in_a_subquery
SELECT (VALUES 7), (SELECT max(x) FROM (VALUES 1, 9, 4) AS t (x))
--> "7","9"

-- values_cross_joined
SELECT a.x, b.y FROM (VALUES 1, 2) AS a (x) CROSS JOIN (VALUES 'p', 'q') AS b (y) ORDER BY 1, 2
--> "1","p"
--> "1","q"
--> "2","p"
--> "2","q"

-- rows_of_two_sizes
VALUES (1, 2), (3)
--! TYPE_MISMATCH or SYNTAX_ERROR

-- rows_of_two_types
SELECT x FROM (VALUES 1, 'a') AS t (x)
--! TYPE_MISMATCH

-- fewer_names_than_columns
SELECT * FROM (VALUES (1, 2)) AS t (x)
--! MISMATCHED_COLUMN_ALIASES
