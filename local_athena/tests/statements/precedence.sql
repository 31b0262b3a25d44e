-- Which operator binds first.
-- source: arithmetic

-- modulus_binds_like_times
SELECT 5 + 17 % 5
--> "7"

-- modulus_and_times_from_the_left
SELECT 7 * 8 % 5, 7 % 4 * 2, 20 / 6 % 2, 20 % 6 / 2
--> "1","6","1","1"

-- modulus_before_minus
SELECT 10 - 7 % 4 - 1, 2 * 3 + 9 % 4 * 2
--> "6","8"

-- unary_minus_before_modulus
SELECT -7 % 3, 7 % -3, -(7 % 3)
--> "-1","1","-1"

-- division_from_the_left
SELECT 100 / 10 / 2, 100 / (10 / 2), 100 - 10 - 5
--> "5","20","85"

-- and_before_or
SELECT true OR false AND false, (true OR false) AND false
--> "true","false"

-- not_before_and
SELECT NOT true OR true, NOT (true OR true), NOT false AND false
--> "true","false","false"

-- not_after_comparison
SELECT NOT 1 = 2, NOT 1 IN (2, 3), NOT 'a' LIKE 'b'
--> "true","true","true"

-- concatenation_binds_as_plus
SELECT 'a' || 'b' = 'ab', 'x' || CAST(1 + 2 AS varchar)
--> "true","x3"

-- between_takes_its_own_and
SELECT 5 BETWEEN 1 AND 10 AND false, 5 BETWEEN 2 + 2 AND 2 * 3, NOT 5 BETWEEN 6 AND 7
--> "false","true","true"

-- intersect_before_union
-- source: sql/select.html#set-operations
SELECT x FROM (SELECT 1 AS x UNION ALL SELECT 2 INTERSECT SELECT 3) ORDER BY x
--> "1"

-- intersect_before_union_from_the_left
-- source: sql/select.html#set-operations
SELECT 3 AS x UNION SELECT 1 INTERSECT SELECT 1 ORDER BY x
--> "1"
--> "3"

-- intersect_before_except
-- source: sql/select.html#set-operations
SELECT 1 AS x EXCEPT SELECT 1 INTERSECT SELECT 2
--> "1"

-- except_and_union_from_the_left
-- source: sql/select.html#set-operations
SELECT x FROM ((SELECT 1 AS x) EXCEPT (SELECT 1) UNION ALL (SELECT 1)) ORDER BY x
--> "1"

-- union_removes_what_union_all_before_it_kept
-- source: sql/select.html#set-operations
SELECT count(*) FROM (SELECT 1 AS x UNION ALL SELECT 1 UNION SELECT 1)
--> "1"

-- union_all_after_union_keeps_its_rows
-- source: sql/select.html#set-operations
SELECT count(*) FROM (SELECT 1 AS x UNION SELECT 1 UNION ALL SELECT 1)
--> "2"

-- order_by_of_a_union_is_for_all_of_it
-- source: sql/select.html#set-operations
SELECT 2 AS x UNION ALL SELECT 1 UNION ALL SELECT 3 ORDER BY x DESC LIMIT 2
--> "3"
--> "2"

-- a_comma_is_weaker_than_a_join
-- source: sql/select.html#joins
SELECT a.x, b.x, c.x FROM (VALUES 1) AS a (x), (VALUES 2, 3) AS b (x) JOIN (VALUES 3) AS c (x) ON b.x = c.x
--> "1","3","3"

-- a_join_after_a_comma_does_not_see_what_stands_before_it
-- source: sql/select.html#joins
SELECT a.x, b.x, c.x FROM (VALUES 1) AS a (x), (VALUES 2) AS b (x) JOIN (VALUES 1) AS c (x) ON a.x = c.x
--! COLUMN_NOT_FOUND

-- a_left_join_after_a_comma_keeps_the_rows_of_its_own_left
-- source: sql/select.html#joins
SELECT a.x, b.x, c.x FROM (VALUES 1, 2) AS a (x), (VALUES 5) AS b (x) LEFT JOIN (VALUES 6) AS c (x) ON b.x = c.x ORDER BY a.x
--> "1","5",
--> "2","5",

-- at_time_zone_binds_before_minus
-- source: functions/datetime.html#time-zone-conversion
SELECT TIMESTAMP '2026-11-15 00:00:00.000 UTC' AT TIME ZONE 'Asia/Tokyo' - INTERVAL '1' HOUR
--> "2026-11-15 08:00:00.000 Asia/Tokyo"

-- comparisons_need_brackets_to_follow_each_other
SELECT 1 = 1 = true
--! SYNTAX_ERROR

-- is_null_after_a_sum
SELECT 1 + NULL IS NULL, NOT NULL IS NULL
--> "true","false"

-- case_in_a_sum
SELECT 1 + CASE WHEN 2 > 1 THEN 10 ELSE 20 END * 2
--> "21"

-- a_double_minus_is_two_signs
SELECT 5 - -3, - - 4, +7, -(-(2))
--> "8","4","7","2"

-- exponent_of_a_literal
SELECT 2e0 * 1E2, -1e-1 * 10
--> "200.0","-1.0"
