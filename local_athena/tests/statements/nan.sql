-- NaN, infinity and zero with a sign.
-- source: functions/math.html#floating-point-functions

-- how_they_print
SELECT nan(), infinity(), -infinity(), 0e0 / 0e0, 1e0 / 0e0, -0e0
--> "NaN","Infinity","-Infinity","NaN","Infinity","-0.0"

-- what_they_are
SELECT is_nan(nan()), is_infinite(1e0 / 0), is_finite(1e0), is_finite(nan()), is_nan(1e0)
--> "true","true","true","false","false"

-- comparisons
SELECT nan() = nan(), nan() <> nan(), nan() > 1e0, nan() < 1e0, 0e0 = -0e0
--> "false","true","false","false","true"

-- nan_is_not_distinct_from_itself
SELECT nan() IS DISTINCT FROM nan(), nan() IS NOT DISTINCT FROM 1e0
--> "false","false"

-- max_and_min_pass_over_nan
-- source: https://trino.io/docs/current/release/release-346.html
SELECT max(x), min(x) FROM (VALUES 1e0, nan(), 2e0) AS t (x)
--> "2.0","1.0"

-- max_and_min_of_nan_alone
-- source: https://trino.io/docs/current/release/release-346.html
SELECT max(x), min(x) FROM (VALUES nan(), nan()) AS t (x)
--> "NaN","NaN"

-- max_by_passes_over_nan
SELECT max_by(k, x), min_by(k, x) FROM (VALUES ('a', 1e0), ('b', nan()), ('c', 2e0)) AS t (k, x)
--> "c","a"

-- max_and_min_of_a_column
SELECT sensor, max(value), min(value) FROM readings GROUP BY sensor ORDER BY sensor
--> "a","6.0","1.0"
--> "b","-2.5","-2.5"

-- sum_and_avg_take_nan
SELECT sum(value), avg(value), count(value) FROM readings WHERE sensor = 'b'
--> "NaN","NaN","2"

-- greatest_and_least_pass_over_nan
SELECT greatest(nan(), 5e0, 4e0), least(nan(), 5e0, 4e0), greatest(nan(), nan())
--> "5.0","4.0","NaN"

-- the_largest_of_an_array
-- source: functions/array.html
SELECT array_max(ARRAY[2e0, nan(), 3e0]), array_min(ARRAY[2e0, nan(), 3e0])
--> "3.0","2.0"

-- order_puts_nan_after_numbers
SELECT x FROM (VALUES 1e0, nan(), infinity(), NULL, -1e0) AS t (x) ORDER BY x
--> "-1.0"
--> "1.0"
--> "Infinity"
--> "NaN"
-->

-- groups_of_nan_are_one
SELECT count(*), count(DISTINCT x) FROM (VALUES nan(), nan(), 1e0) AS t (x)
--> "3","2"

-- group_by_nan
SELECT x, count(*) FROM (VALUES nan(), 1e0, nan()) AS t (x) GROUP BY x ORDER BY x
--> "1.0","1"
--> "NaN","2"

-- filter_by_is_nan
SELECT count(*) FROM readings WHERE NOT is_nan(value)
--> "4"

-- arithmetic_with_infinity
SELECT infinity() - infinity(), infinity() + 1, -infinity() * 2, 1e0 / infinity(), infinity() > 1e308
--> "NaN","Infinity","-Infinity","0.0","true"

-- functions_outside_of_their_domain
SELECT sqrt(-1e0), ln(0e0), ln(-1e0), power(0e0, 0e0), acos(2e0)
--> "NaN","-Infinity","NaN","1.0","NaN"

-- cast_of_nan_to_an_integer
-- source: functions/conversion.html
SELECT CAST(x AS bigint) FROM (VALUES nan()) AS t (x)
--! INVALID_CAST_ARGUMENT

-- try_cast_of_nan
-- source: functions/conversion.html
SELECT try_cast(nan() AS integer), try_cast(infinity() AS bigint), CAST('NaN' AS double), CAST('Infinity' AS double), CAST('-Infinity' AS real)
--> ,,"NaN","Infinity","-Infinity"

-- nan_in_an_array
-- source: functions/array.html
SELECT ARRAY[nan(), 1e0], contains(ARRAY[1e0, 2e0], nan()), array_sort(ARRAY[nan(), 1e0, NULL])
--> "[NaN, 1.0]","false","[1.0, NaN, null]"
