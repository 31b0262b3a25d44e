-- A third list, written as the first two were: what it found, of 790 statements.
-- source: sql/select.html

-- values_of_rows
-- source: sql/values.html
SELECT a, b FROM (VALUES ROW(1, 'x'), ROW(2, NULL)) AS t (a, b) ORDER BY a
--> "1","x"
--> "2",

-- values_of_rows_beside_others
-- source: sql/values.html
SELECT * FROM (VALUES ROW(1, 'x'), (2, 'y'), ((3, 'z'))) AS t (n, s) ORDER BY n
--# "n","s"
--> "1","x"
--> "2","y"
--> "3","z"

-- values_of_a_row_in_a_row
-- source: sql/values.html
SELECT r, r.b FROM (VALUES ROW(CAST(ROW(1, 'x') AS ROW(a integer, b varchar)))) AS t (r)
--> "{a=1, b=x}","x"

-- values_of_rows_with_names
-- source: sql/values.html
SELECT * FROM (VALUES CAST(ROW(1, 'x') AS ROW(a integer, b varchar)), CAST(ROW(2, 'y') AS ROW(a integer, b varchar))) ORDER BY a
--# "a","b"
--> "1","x"
--> "2","y"

-- values_of_a_row_have_its_columns
-- source: sql/values.html
SELECT r.a FROM (VALUES (CAST(ROW(1, 2) AS ROW(a integer, b integer)))) AS t (r)
--! MISMATCHED_COLUMN_ALIASES

-- values_of_rows_of_other_sizes
-- source: sql/values.html
VALUES ROW(1), ROW(1, 2)
--! TYPE_MISMATCH

-- values_first_in_a_set_operation
SELECT x FROM (VALUES 1, 2 EXCEPT VALUES 2 UNION ALL SELECT 3) AS t (x) ORDER BY x
--> "1"
--> "3"

-- names_of_months_long_or_short
-- source: functions/datetime.html
SELECT date_parse('March 5, 2026', '%b %e, %Y'), date_parse('Mar 5, 2026', '%M %e, %Y'), parse_datetime('05/March/2026', 'dd/MMM/yyyy'), parse_datetime('05/Mar/2026:10:00:00 +0100', 'dd/MMMM/yyyy:HH:mm:ss Z')
--> "2026-03-05 00:00:00.000","2026-03-05 00:00:00.000","2026-03-05 00:00:00.000 UTC","2026-03-05 10:00:00.000 +01:00"

-- names_of_no_month
-- source: functions/datetime.html
SELECT date_parse(x, '%M %Y') FROM (VALUES 'Sept 2026') AS t (x)
--! INVALID_FUNCTION_ARGUMENT

-- a_point_may_be_a_line_break
-- source: functions/regexp.html
SELECT regexp_extract(x, '(?s)a(.*)c', 1) = chr(10) || 'b', regexp_like(x, 'a.b'), regexp_replace(x, '(?s)a.', '') FROM (VALUES 'a' || chr(10) || 'bc') AS t (x)
--> "true","false","bc"

-- zip_of_three
-- source: functions/array.html#zip
SELECT zip(ARRAY[1, 2], ARRAY['a'], ARRAY[true, false]), zip(ARRAY[1], ARRAY[2], CAST(NULL AS array(integer)))
--> "[{field0=1, field1=a, field2=true}, {field0=2, field1=null, field2=false}]",

-- listagg_with_its_default
-- source: functions/aggregate.html#listagg
SELECT listagg(x, ',' ON OVERFLOW ERROR) WITHIN GROUP (ORDER BY x) FROM (VALUES 'b', 'a') AS t (x)
--> "a,b"

-- listagg_over_a_window
-- source: functions/aggregate.html#listagg
SELECT listagg(x, ',') WITHIN GROUP (ORDER BY x) OVER () FROM (VALUES 'a') AS t (x)
--! SYNTAX_ERROR

-- approx_distinct_with_an_error_too_large
-- source: functions/aggregate.html#approx_distinct
SELECT approx_distinct(x, 0.5) FROM (VALUES 1, 2) AS t (x)
--! INVALID_FUNCTION_ARGUMENT

-- a_decimal_with_too_many_digits
-- source: functions/conversion.html
SELECT CAST(x AS decimal(4,2)) FROM (VALUES DECIMAL '123.45') AS t (x)
--! INVALID_CAST_ARGUMENT

-- a_double_beyond_bigint
-- source: functions/conversion.html
SELECT CAST(x AS bigint) FROM (VALUES 1e30) AS t (x)
--! INVALID_CAST_ARGUMENT

-- reduce_to_a_wider_type
-- source: functions/array.html#reduce
SELECT reduce(ARRAY[1.5e0, 2.5e0], 0, (s, x) -> s + x, s -> s), reduce(ARRAY[BIGINT '3000000000', 1], 0, (s, x) -> s + x, s -> s), reduce(ARRAY['a', 'b'], '', (s, x) -> s || x, s -> s || '.')
--> "4.0","3000000001","ab."

-- reduce_agg_to_a_wider_type
-- source: functions/aggregate.html#reduce_agg
SELECT reduce_agg(x, 0, (s, x) -> s + x, (a, b) -> a + b) FROM (VALUES 1.5e0, 2.5e0) AS t (x)
--> "4.0"

-- reduce_to_another_kind_of_type
-- source: functions/array.html#reduce
SELECT reduce(ARRAY[1, 2], 'a', (s, x) -> x, s -> s)
--! FUNCTION_NOT_FOUND or TYPE_MISMATCH

-- intervals_times_parts
-- source: functions/datetime.html
SELECT INTERVAL '1' DAY * 2.5, 1.5e0 * INTERVAL '1' HOUR, TIMESTAMP '2026-11-15 00:00:00' + DECIMAL '0.5' * INTERVAL '1' SECOND
--> "2 12:00:00.000","0 01:30:00.000","2026-11-15 00:00:00.500"

-- arrays_of_doubles_as_sets
-- source: functions/array.html
SELECT array_distinct(ARRAY[1.5e0, 2.5e0, 1.5e0, NULL, NULL]), array_union(ARRAY[1.5e0], ARRAY[2]), array_except(ARRAY[1.5e0, 2], ARRAY[2]), array_intersect(ARRAY[1.5e0, 2], ARRAY[2])
--> "[1.5, 2.5, null]","[1.5, 2.0]","[1.5]","[2.0]"

-- places_in_arrays_of_doubles
-- source: functions/array.html
SELECT array_position(ARRAY[1.5e0, 2.5e0], 2.5e0), array_remove(ARRAY[1.5e0, NULL, 2.5e0], 1.5e0), arrays_overlap(ARRAY[1.5e0], ARRAY[2.5e0, 1.5e0]), array_position(ARRAY[1, 2], 2e0)
--> "2","[null, 2.5]","true","2"
