-- try, try_cast, nullif, if, coalesce, CASE.
-- source: functions/conditional.html

-- try_of_a_division_by_zero
SELECT try(1 / 0), try(6 / 2), coalesce(try(5 / 0), -1)
--> ,"3","-1"

-- try_of_a_cast
SELECT try(CAST('x' AS integer)), try(CAST('12' AS integer)), try(CAST('2026-02-30' AS date))
--> ,"12",

-- try_of_a_subscript
SELECT try(x[5]), try(x[2]) FROM (VALUES ARRAY[1, 2]) AS t (x)
--> ,"2"

-- try_of_an_overflow
SELECT try(x + 1), try(x - 1) FROM (VALUES 2147483647) AS t (x)
--> ,"2147483646"

-- try_of_a_date_parse
SELECT try(date_parse(x, '%Y-%m-%d')) FROM (VALUES (1, '2026-11-15'), (2, 'n/a'), (3, NULL)) AS t (n, x) ORDER BY n
--> "2026-11-15 00:00:00.000"
-->
-->

-- try_with_aggregates
SELECT country, try(sum(quantity) / count_if(quantity > 3)) AS ratio FROM sales GROUP BY country ORDER BY country
--> "DE",
--> "JP","10"
--> "US","10"
--> ,

-- try_around_a_column_divided
SELECT id, try(100 / (quantity - 2)) AS x FROM sales WHERE id IN (1, 2, 3, 8) ORDER BY id
--> "1",
--> "2","-100"
--> "3","33"
--> "8",

-- try_in_a_condition
SELECT count(*) FROM visits WHERE try(json_extract_scalar(json_parse(event), '$.type')) = 'view'
--> "3"

-- try_keeps_good_rows
SELECT array_agg(try(10 / x) ORDER BY n) FROM (VALUES (1, 2), (2, 0), (3, 5)) AS t (n, x)
--> "[5, null, 2]"

-- try_in_a_lambda
SELECT transform(ARRAY['1', 'a', '3'], x -> try(CAST(x AS integer)))
--> "[1, null, 3]"

-- without_try_the_query_fails
SELECT 10 / x FROM (VALUES 2, 0) AS t (x)
--! DIVISION_BY_ZERO

-- try_does_not_help_types
SELECT try('a' + 1)
--! TYPE_MISMATCH

-- try_does_not_help_names
SELECT try(nope) FROM sales
--! COLUMN_NOT_FOUND

-- try_cast_of_texts
-- source: functions/conversion.html
SELECT try_cast('12' AS integer), try_cast('x' AS integer), try_cast('' AS integer), try_cast(NULL AS integer)
--> "12",,,

-- try_cast_of_dates
-- source: functions/conversion.html
SELECT try_cast('2026-11-15' AS date), try_cast('2026-13-01' AS date), try_cast('15/11/2026' AS date)
--> "2026-11-15",,

-- try_cast_of_numbers
-- source: functions/conversion.html
SELECT try_cast('1.50' AS decimal(5,2)), try_cast('1e2' AS double), try_cast('99999' AS smallint), try_cast(300 AS tinyint)
--> "1.50","100.0",,

-- try_cast_in_a_sum
-- source: functions/conversion.html
SELECT sum(try_cast(x AS integer)), count_if(try_cast(x AS integer) IS NULL) FROM (VALUES '1', 'two', '3', '') AS t (x)
--> "4","2"

-- try_cast_of_what_never_works
-- source: functions/conversion.html
SELECT try_cast(true AS date)
--! TYPE_MISMATCH

-- nullif
SELECT nullif(1, 1), nullif(1, 2), nullif('', ''), nullif('a', NULL), nullif(NULL, 1)
--> ,"1",,"a",

-- nullif_against_zero
SELECT id, 12 / nullif(quantity - 1, 0) AS x FROM sales WHERE id IN (1, 2, 5) ORDER BY id
--> "1","12"
--> "2",
--> "5","4"

-- nullif_of_a_sum
SELECT round(CAST(sum(quantity) AS double) / nullif(count_if(country = 'FR'), 0), 2) AS none, round(CAST(sum(quantity) AS double) / nullif(count_if(country = 'JP'), 0), 2) AS jp FROM sales
--> ,"5.75"

-- if_with_two_branches
SELECT if(1 > 2, 'yes', 'no'), if(1 < 2, 'yes', 'no'), if(NULL, 1, 2), if(false, 1)
--> "no","yes","2",

-- if_evaluates_one_branch
SELECT id, if(quantity = 1, 0, 10 / (quantity - 1)) AS x FROM sales WHERE id IN (1, 2, 5) ORDER BY id
--> "1","10"
--> "2","0"
--> "5","3"

-- if_in_a_sum
SELECT sum(if(country = 'JP', quantity, 0)) AS jp, count(if(country = 'US', 1)) AS us FROM sales
--> "10","3"

-- if_without_a_condition
SELECT if(1, 2, 3)
--! TYPE_MISMATCH

-- coalesce_of_several
SELECT coalesce(NULL, NULL, 'c'), coalesce(1, 2), coalesce(NULL, 2.5e0), coalesce(CAST(NULL AS varchar), '')
--> "c","1","2.5",""

-- coalesce_does_not_evaluate_what_follows
SELECT coalesce(quantity, id / 0) FROM sales WHERE id = 1
--> "2"

-- coalesce_of_two_types
SELECT coalesce('a', 1)
--! TYPE_MISMATCH

-- case_of_values
SELECT id, CASE country WHEN 'JP' THEN 'Japan' WHEN 'US' THEN 'America' ELSE 'other' END AS place FROM sales WHERE id IN (1, 3, 6, 7) ORDER BY id
--> "1","Japan"
--> "3","America"
--> "6","other"
--> "7","other"

-- case_of_conditions
SELECT CASE WHEN price < 4 THEN 'low' WHEN price < 9 THEN 'middle' ELSE 'high' END AS class, count(*) FROM sales GROUP BY 1 ORDER BY 1
--> "high","3"
--> "low","4"
--> "middle","3"

-- case_without_else
SELECT CASE WHEN false THEN 1 END, CASE NULL WHEN NULL THEN 'same' ELSE 'not' END
--> ,"not"

-- case_takes_the_wider_type
SELECT CASE WHEN true THEN 1 ELSE 2.5e0 END, CASE WHEN true THEN 1 ELSE BIGINT '2' END
--> "1.0","1"

-- case_of_two_types
SELECT CASE WHEN true THEN 1 ELSE 'a' END
--! TYPE_MISMATCH

-- greatest_and_least
-- source: functions/comparison.html
SELECT greatest(1, 5, 3), least('b', 'a'), greatest(DATE '2026-11-15', DATE '2026-11-01'), least(2, NULL)
--> "5","a","2026-11-15",

-- is_distinct_from
-- source: functions/comparison.html
SELECT NULL IS DISTINCT FROM NULL, 1 IS DISTINCT FROM NULL, 1 IS NOT DISTINCT FROM 1, count_if(country IS DISTINCT FROM 'JP') FROM sales
--> "false","true","true","6"

-- between_with_null
-- source: functions/comparison.html
SELECT NULL BETWEEN 2 AND 4, 2 BETWEEN NULL AND 6, 2 BETWEEN 3 AND NULL, 8 BETWEEN NULL AND 6, 3 NOT BETWEEN 2 AND 6
--> ,,"false","false","false"

-- in_with_null
-- source: functions/comparison.html
SELECT 1 IN (1, NULL), 2 IN (1, NULL), 2 NOT IN (1, NULL), NULL IN (1)
--> "true",,,

-- quantified_comparisons
-- source: functions/comparison.html
SELECT 'hello' = ANY (VALUES 'hello', 'world'), 21 < ALL (VALUES 19, 20, 21), 42 >= SOME (SELECT 41 UNION ALL SELECT 42 UNION ALL SELECT 43)
--> "true","false","true"

-- logic_with_null
-- source: functions/logical.html
SELECT NULL AND false, NULL AND true, NULL OR true, NULL OR false, NOT CAST(NULL AS boolean)
--> "false",,"true",,

-- not_in_a_subquery_with_null
-- source: functions/comparison.html
SELECT count(*) FROM sales WHERE product NOT IN (SELECT country FROM sales)
--> "0"

-- a_condition_that_is_unknown_keeps_no_row
-- source: functions/comparison.html
SELECT count_if(country <> 'JP'), count_if(NOT country = 'JP'), count(*) FILTER (WHERE quantity > 0 OR quantity <= 0) FROM sales
--> "5","5","9"
