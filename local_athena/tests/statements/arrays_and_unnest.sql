-- Arrays and UNNEST.
-- source: functions/array.html

-- subscript_from_one
SELECT ARRAY[10, 20, 30][1], ARRAY['a', 'b'][2], ARRAY[ARRAY[1, 2], ARRAY[3]][1][2]
--> "10","b","2"

-- subscript_of_null
SELECT ARRAY[1, NULL][2], CAST(NULL AS array(integer))[1]
--> ,

-- subscript_beyond_the_end
SELECT x[3] FROM (VALUES ARRAY[1, 2]) AS t (x)
--! INVALID_FUNCTION_ARGUMENT

-- subscript_zero
SELECT x[0] FROM (VALUES ARRAY[1, 2]) AS t (x)
--! INVALID_FUNCTION_ARGUMENT

-- subscript_negative
SELECT x[-1] FROM (VALUES ARRAY[1, 2]) AS t (x)
--! INVALID_FUNCTION_ARGUMENT

-- element_at_of_an_array
SELECT element_at(ARRAY[1, 2, 3], 1), element_at(ARRAY[1, 2, 3], -1), element_at(ARRAY[1, 2, 3], 4), element_at(ARRAY[1, 2, 3], -4)
--> "1","3",,

-- element_at_zero
SELECT element_at(x, 0) FROM (VALUES ARRAY[1]) AS t (x)
--! INVALID_FUNCTION_ARGUMENT

-- cardinality_of_arrays
SELECT cardinality(ARRAY[1, NULL]), cardinality(ARRAY[]), cardinality(CAST(NULL AS array(bigint)))
--> "2","0",

-- subscripts_of_a_column
SELECT id, tags[1] AS first, element_at(tags, -1) AS last, cardinality(tags) AS n FROM sales WHERE cardinality(tags) > 0 AND id < 8 ORDER BY id
--# "id","first","last","n"
--> "1","hot","green","2"
--> "2","hot","hot","1"
--> "5","iced","green","2"
--> "6","sweet",,"2"
--> "7","hot","hot","1"

-- a_column_of_arrays_in_the_result
SELECT id, tags FROM sales WHERE id BETWEEN 3 AND 6 ORDER BY id
--> "3","[]"
--> "4",
--> "5","[iced, green]"
--> "6","[sweet, null]"

-- contains
SELECT contains(ARRAY[1, 2], 2), contains(ARRAY[1, 2], 3), contains(ARRAY[1, NULL], 3), contains(ARRAY[1, NULL], 1)
--> "true","false",,"true"

-- contains_in_a_condition
SELECT id FROM sales WHERE contains(tags, 'green') ORDER BY id
--> "1"
--> "5"
--> "8"

-- contains_of_another_type
SELECT contains(ARRAY[1, 2], 'a')
--! FUNCTION_NOT_FOUND or TYPE_MISMATCH

-- array_position
SELECT array_position(ARRAY['a', 'b', 'a'], 'a'), array_position(ARRAY['a'], 'z'), array_position(ARRAY[NULL, 2], 2)
--> "1","0","2"

-- array_distinct_keeps_the_first
SELECT array_distinct(ARRAY[3, 1, 3, 2, 1]), array_distinct(ARRAY['b', NULL, 'b', NULL])
--> "[3, 1, 2]","[b, null]"

-- array_sort_puts_null_last
SELECT array_sort(ARRAY[3, NULL, 1]), array_sort(ARRAY['b', 'B', 'a'])
--> "[1, 3, null]","[B, a, b]"

-- array_sort_by_a_comparison
SELECT array_sort(ARRAY[3, 2, 5, 1, 2], (x, y) -> IF(x < y, 1, IF(x = y, 0, -1)))
--> "[5, 3, 2, 2, 1]"

-- array_max_and_min
SELECT array_max(ARRAY[2, 7, 5]), array_min(ARRAY['b', 'a']), array_max(ARRAY[1, NULL]), array_min(CAST(ARRAY[] AS array(integer)))
--> "7","a",,

-- array_remove
SELECT array_remove(ARRAY[1, 2, 1, 3], 1), array_remove(ARRAY['a'], 'z')
--> "[2, 3]","[a]"

-- sets_of_arrays
SELECT array_sort(array_union(ARRAY[1, 2], ARRAY[2, 3])), array_sort(array_intersect(ARRAY[1, 2, 2], ARRAY[2, 2, 3])), array_sort(array_except(ARRAY[1, 2, 2, 4], ARRAY[2]))
--> "[1, 2, 3]","[2]","[1, 4]"

-- arrays_overlap
SELECT arrays_overlap(ARRAY[1, 2], ARRAY[2]), arrays_overlap(ARRAY[1], ARRAY[2]), arrays_overlap(ARRAY[1, NULL], ARRAY[2])
--> "true","false",

-- arrays_overlap_with_an_empty_one
SELECT arrays_overlap(empty, ARRAY[1, NULL]), arrays_overlap(ARRAY[1, NULL], empty) FROM (SELECT filter(ARRAY[1], x -> x > 1) AS empty)
--> "false","false"

-- concatenation
SELECT ARRAY[1] || ARRAY[2, 3], ARRAY[1] || 2, 0 || ARRAY[1], concat(ARRAY['a'], ARRAY['b'], ARRAY['c'])
--> "[1, 2, 3]","[1, 2]","[0, 1]","[a, b, c]"

-- concatenation_with_null
SELECT ARRAY[1] || CAST(NULL AS array(integer)), ARRAY[1] || CAST(NULL AS integer)
--> ,"[1, null]"

-- slice
SELECT slice(ARRAY[1, 2, 3, 4], 2, 2), slice(ARRAY[1, 2, 3, 4], -2, 2), slice(ARRAY[1, 2], 2, 9), slice(ARRAY[1, 2], 5, 1)
--> "[2, 3]","[3, 4]","[2]","[]"

-- slice_from_zero
SELECT slice(x, 0, 1) FROM (VALUES ARRAY[1]) AS t (x)
--! INVALID_FUNCTION_ARGUMENT

-- reverse_repeat_flatten
SELECT reverse(ARRAY[1, 2, 3]), repeat('x', 3), repeat(7, 0), flatten(ARRAY[ARRAY[1], ARRAY[], ARRAY[2, 3]])
--> "[3, 2, 1]","[x, x, x]","[]","[1, 2, 3]"

-- sequence_of_integers
SELECT sequence(1, 5), sequence(5, 1), sequence(0, 10, 5), sequence(3, -3, -3)
--> "[1, 2, 3, 4, 5]","[5, 4, 3, 2, 1]","[0, 5, 10]","[3, 0, -3]"

-- sequence_that_does_not_meet_its_end
SELECT sequence(1, 6, 2), sequence(7, 7)
--> "[1, 3, 5]","[7]"

-- sequence_of_dates
SELECT sequence(DATE '2026-02-27', DATE '2026-03-02'), sequence(DATE '2026-03-02', DATE '2026-02-28')
--> "[2026-02-27, 2026-02-28, 2026-03-01, 2026-03-02]","[2026-03-02, 2026-03-01, 2026-02-28]"

-- sequence_of_weeks
SELECT sequence(DATE '2026-11-01', DATE '2026-11-20', INTERVAL '7' DAY)
--> "[2026-11-01, 2026-11-08, 2026-11-15]"

-- sequence_of_months
SELECT sequence(DATE '2025-12-01', DATE '2026-03-01', INTERVAL '1' MONTH)
--> "[2025-12-01, 2026-01-01, 2026-02-01, 2026-03-01]"

-- sequence_of_timestamps
SELECT sequence(TIMESTAMP '2026-11-15 22:00:00.000', TIMESTAMP '2026-11-16 01:00:00.000', INTERVAL '1' HOUR)
--> "[2026-11-15 22:00:00.000, 2026-11-15 23:00:00.000, 2026-11-16 00:00:00.000, 2026-11-16 01:00:00.000]"

-- sequence_in_the_wrong_direction
SELECT sequence(1, 5, -1)
--! INVALID_FUNCTION_ARGUMENT

-- sequence_without_a_step
SELECT sequence(1, 5, 0)
--! INVALID_FUNCTION_ARGUMENT

-- sequence_too_long
SELECT cardinality(sequence(1, 10001))
--! INVALID_FUNCTION_ARGUMENT

-- sequence_as_long_as_it_may_be
SELECT cardinality(sequence(1, 10000))
--> "10000"

-- comparisons_of_arrays
SELECT ARRAY[1, 2] = ARRAY[1, 2], ARRAY[1] = ARRAY[1, 2], ARRAY[1, 2] < ARRAY[1, 3], ARRAY[1, 2] <> ARRAY[2, 1]
--> "true","false","true","true"

-- comparisons_of_arrays_with_null
SELECT ARRAY[1, NULL] = ARRAY[1, 2], ARRAY[1, NULL] = ARRAY[2, 2]
--> ,"false"

-- arrays_of_mixed_numbers
SELECT ARRAY[1, 2.5e0], ARRAY[NULL, 1], ARRAY[1, BIGINT '2']
--> "[1.0, 2.5]","[null, 1]","[1, 2]"

-- cast_of_an_array
-- source: functions/conversion.html
SELECT CAST(ARRAY[1, NULL, 3] AS array(varchar)), CAST(ARRAY['1', '2'] AS array(integer)), CAST(ARRAY[1] AS array(double))
--> "[1, null, 3]","[1, 2]","[1.0]"

-- cast_of_an_array_that_fails
-- source: functions/conversion.html
SELECT CAST(x AS array(integer)) FROM (VALUES ARRAY['1', 'x']) AS t (x)
--! INVALID_CAST_ARGUMENT

-- group_by_an_array
SELECT tags, count(*) FROM sales WHERE cardinality(tags) = 1 GROUP BY tags ORDER BY tags
--> "[gift]","1"
--> "[green]","1"
--> "[hot]","2"

-- distinct_arrays
SELECT count(DISTINCT tags), count(tags) FROM sales
--> "8","9"

-- ngrams_and_combinations
SELECT cardinality(ngrams(ARRAY['a', 'b', 'c'], 2)), cardinality(combinations(ARRAY[1, 2, 3, 4], 2))
--> "2","6"

-- the_documented_examples_of_ngrams_and_combinations
-- source: functions/array.html
SELECT ngrams(ARRAY['foo', 'bar', 'baz', 'foo'], 3), ngrams(ARRAY['foo', 'bar', 'baz', 'foo'], 5), combinations(ARRAY['foo', 'bar', 'baz'], 2), combinations(ARRAY[1, 2, 2], 2)
--> "[[foo, bar, baz], [bar, baz, foo]]","[[foo, bar, baz, foo]]","[[foo, bar], [foo, baz], [bar, baz]]","[[1, 2], [1, 2], [2, 2]]"

-- UNNEST.
-- source: sql/select.html#unnest

-- unnest_an_array
SELECT x FROM UNNEST(ARRAY[3, 1, 2]) AS t (x) ORDER BY x
--> "1"
--> "2"
--> "3"

-- unnest_with_ordinality
SELECT n, x FROM UNNEST(ARRAY['a', 'b', NULL]) WITH ORDINALITY AS t (x, n) ORDER BY n
--> "1","a"
--> "2","b"
--> "3",

-- unnest_two_arrays
SELECT a, b FROM UNNEST(ARRAY[1, 2, 3], ARRAY['x', 'y']) AS t (a, b) ORDER BY a
--> "1","x"
--> "2","y"
--> "3",

-- unnest_a_map
SELECT k, v FROM UNNEST(MAP(ARRAY['a', 'b'], ARRAY[1, 2])) AS t (k, v) ORDER BY k
--> "a","1"
--> "b","2"

-- unnest_rows
SELECT id, name FROM UNNEST(ARRAY[CAST(ROW(1, 'a') AS ROW(id integer, name varchar)), CAST(ROW(2, 'b') AS ROW(id integer, name varchar))]) AS t (id, name) ORDER BY id
--> "1","a"
--> "2","b"

-- unnest_nothing
SELECT count(*) FROM UNNEST(CAST(ARRAY[] AS array(integer))) AS t (x)
--> "0"

-- cross_join_unnest_of_a_column
SELECT id, tag FROM sales CROSS JOIN UNNEST(tags) AS t (tag) WHERE id < 7 ORDER BY id, tag
--> "1","green"
--> "1","hot"
--> "2","hot"
--> "5","green"
--> "5","iced"
--> "6","sweet"
--> "6",

-- comma_unnest_of_a_column
SELECT tag, count(*) AS n FROM sales, UNNEST(tags) AS t (tag) GROUP BY tag ORDER BY n DESC, tag
--> "green","3"
--> "hot","3"
--> "gift","2"
--> "sweet","2"
--> "iced","1"
--> ,"1"

-- sums_by_element
SELECT tag, sum(quantity * price) AS amount FROM sales CROSS JOIN UNNEST(tags) AS t (tag) GROUP BY tag ORDER BY amount DESC
--> "gift","48.50"
--> "sweet","38.50"
--> "green","22.00"
--> "hot","20.00"
--> "iced","15.00"
--> ,"10.00"

-- left_join_unnest_keeps_rows
SELECT s.id, t.tag FROM sales AS s LEFT JOIN UNNEST(s.tags) AS t (tag) ON true WHERE s.id IN (3, 4, 7) ORDER BY s.id
--> "3",
--> "4",
--> "7","hot"

-- left_join_unnest_with_ordinality
SELECT id, tag, n FROM sales LEFT JOIN UNNEST(tags) WITH ORDINALITY AS t (tag, n) ON true WHERE id IN (1, 3) ORDER BY id, n
--> "1","hot","1"
--> "1","green","2"
--> "3",,

-- left_join_unnest_counts
SELECT count(*), count(tag) FROM sales LEFT JOIN UNNEST(tags) AS t (tag) ON true
--> "14","11"

-- left_join_unnest_on_a_condition
SELECT count(*) FROM sales LEFT JOIN UNNEST(tags) AS t (tag) ON tag = 'hot'
--! NOT_SUPPORTED

-- first_element_of_each
SELECT tag, count(*) AS n FROM sales CROSS JOIN UNNEST(tags) WITH ORDINALITY AS t (tag, position) WHERE position = 1 GROUP BY tag ORDER BY n DESC, tag
--> "hot","3"
--> "sweet","2"
--> "gift","1"
--> "green","1"
--> "iced","1"

-- unnest_of_a_map_column
SELECT key, count(*) AS n FROM sales CROSS JOIN UNNEST(attributes) AS t (key, value) GROUP BY key ORDER BY n DESC, key
--> "size","4"
--> "color","3"
--> "gift","1"

-- unnest_of_an_aggregate
SELECT x FROM (SELECT array_agg(DISTINCT product) AS p FROM sales) CROSS JOIN UNNEST(p) AS t (x) ORDER BY x
--> "cake"
--> "coffee"
--> "tea"

-- unnest_twice
SELECT x, y FROM (VALUES (ARRAY[1, 2], ARRAY['a', 'b'])) AS t (xs, ys) CROSS JOIN UNNEST(xs) AS u (x) CROSS JOIN UNNEST(ys) AS v (y) ORDER BY x, y
--> "1","a"
--> "1","b"
--> "2","a"
--> "2","b"

-- unnest_arrays_of_arrays
SELECT y FROM UNNEST(ARRAY[ARRAY[1, 2], ARRAY[3]]) AS t (x) CROSS JOIN UNNEST(x) AS u (y) ORDER BY y
--> "1"
--> "2"
--> "3"

-- unnest_a_split
SELECT part, count(*) FROM (VALUES 'a,b', 'b') AS t (x) CROSS JOIN UNNEST(split(x, ',')) AS u (part) GROUP BY part ORDER BY part
--> "a","1"
--> "b","2"

-- a_calendar_of_days
SELECT day FROM UNNEST(sequence(DATE '2026-11-13', DATE '2026-11-15', INTERVAL '1' DAY)) AS t (day) ORDER BY day
--> "2026-11-13"
--> "2026-11-14"
--> "2026-11-15"

-- a_calendar_joined_to_sales
SELECT c.day, count(s.id) AS sales, coalesce(sum(s.quantity), 0) AS pieces
FROM UNNEST(sequence(DATE '2026-11-08', DATE '2026-11-12', INTERVAL '1' DAY)) AS c (day)
LEFT JOIN sales AS s ON s.sold_on = c.day GROUP BY c.day ORDER BY c.day
--> "2026-11-08","1","4"
--> "2026-11-09","1","1"
--> "2026-11-10","1","2"
--> "2026-11-11","0","0"
--> "2026-11-12","1","0"

-- a_calendar_of_weeks
SELECT c.week, sum(s.quantity * s.price) AS amount
FROM UNNEST(sequence(DATE '2026-10-19', DATE '2026-11-09', INTERVAL '7' DAY)) AS c (week)
LEFT JOIN sales AS s ON date_trunc('week', s.sold_on) = c.week GROUP BY c.week ORDER BY c.week
--> "2026-10-19",
--> "2026-10-26","7.00"
--> "2026-11-02","49.25"
--> "2026-11-09","67.50"

-- unnest_a_number
SELECT x FROM UNNEST(5) AS t (x)
--! INVALID_FUNCTION_ARGUMENT or TYPE_MISMATCH

-- unnest_with_too_few_names
SELECT * FROM UNNEST(MAP(ARRAY['a'], ARRAY[1])) AS t (k)
--! MISMATCHED_COLUMN_ALIASES

-- arrays_of_another_dialect
SELECT [1, 2]
--! SYNTAX_ERROR
