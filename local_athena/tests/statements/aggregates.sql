-- Aggregate functions: approximate ones, statistics, those that make arrays, maps and texts.
-- source: functions/aggregate.html

-- approx_distinct_of_few_values
SELECT approx_distinct(x) FROM (VALUES 'a', 'b', 'a', 'c', NULL) AS t (x)
--> "3"

-- approx_distinct_of_nothing_is_zero
SELECT approx_distinct(x), approx_distinct(CAST(NULL AS varchar)) FROM (VALUES 1) AS t (x) WHERE x > 1
--> "0","0"

-- approx_distinct_of_nulls_is_zero
SELECT approx_distinct(country) FROM sales WHERE country IS NULL
--> "0"

-- approx_distinct_within_its_error
SELECT abs(approx_distinct(x) - 5000) < 500 FROM UNNEST(sequence(1, 5000)) AS t (x)
--> "true"

-- approx_distinct_with_an_error_of_its_own
SELECT approx_distinct(x, 0.0040625e0) BETWEEN 980 AND 1020 FROM UNNEST(sequence(1, 1000)) AS t (x)
--> "true"

-- approx_distinct_of_dates_and_numbers
SELECT approx_distinct(sold_on), approx_distinct(quantity), approx_distinct(price) FROM sales
--> "10","5","8"

-- approx_distinct_by_group
SELECT product, approx_distinct(country) AS countries FROM sales GROUP BY product ORDER BY product
--> "cake","2"
--> "coffee","3"
--> "tea","3"

-- approx_distinct_weekly
SELECT date_trunc('week', sold_on) AS week, approx_distinct(customer.id) AS customers FROM sales GROUP BY 1 ORDER BY 1
--> "2026-10-26","1"
--> "2026-11-02","3"
--> "2026-11-09","3"

-- approx_distinct_filtered
SELECT approx_distinct(product) FILTER (WHERE country = 'DE') FROM sales
--> "2"

-- approx_percentile_of_one_value
SELECT approx_percentile(x, 0.5e0) FROM (VALUES 7) AS t (x)
--> "7"

-- approx_percentile_median_of_three
SELECT approx_percentile(x, 0.5e0) FROM (VALUES 3, 1, NULL, 2) AS t (x)
--> "2"

-- approx_percentile_of_nothing
SELECT approx_percentile(x, 0.5e0) FROM (VALUES 1) AS t (x) WHERE x > 1
-->

-- approx_percentile_keeps_the_type
SELECT approx_percentile(x, 0.5e0), approx_percentile(y, 0.5e0) FROM (VALUES (1, 1.5e0), (2, 2.5e0), (3, 3.5e0)) AS t (x, y)
--> "2","2.5"

-- approx_percentile_within_its_error
SELECT approx_percentile(x, 0.95e0) BETWEEN 940 AND 960, approx_percentile(x, 0.5e0) BETWEEN 490 AND 511 FROM UNNEST(sequence(1, 1000)) AS t (x)
--> "true","true"

-- approx_percentile_of_several
SELECT cardinality(p), p[1] BETWEEN 240 AND 260, p[2] BETWEEN 740 AND 760
FROM (SELECT approx_percentile(x, ARRAY[0.25e0, 0.75e0]) AS p FROM UNNEST(sequence(1, 1000)) AS t (x))
--> "2","true","true"

-- approx_percentile_by_group
SELECT product, approx_percentile(quantity, 0.5e0) AS median FROM sales WHERE product <> 'tea' GROUP BY product ORDER BY product
--> "cake","2"
--> "coffee","2"

-- approx_percentile_ends
SELECT approx_percentile(x, 0e0), approx_percentile(x, 1e0) FROM UNNEST(sequence(1, 100)) AS t (x)
--> "1","100"

-- approx_percentile_weighted
SELECT approx_percentile(x, w, 0.5e0) FROM (VALUES (1, 1), (2, 100), (3, 1)) AS t (x, w)
--> "2"

-- approx_percentile_outside_of_its_range
SELECT approx_percentile(x, 1.5e0) FROM (VALUES 1) AS t (x)
--! INVALID_FUNCTION_ARGUMENT

-- stddev_and_variance_of_a_sample
SELECT round(stddev(x), 6), round(stddev_samp(x), 6), round(variance(x), 6), round(var_samp(x), 6) FROM (VALUES 1, 2, 3, 4) AS t (x)
--> "1.290994","1.290994","1.666667","1.666667"

-- stddev_and_variance_of_a_population
SELECT round(stddev_pop(x), 6), round(var_pop(x), 6) FROM (VALUES 2, 4, 4, 4, 5, 5, 7, 9) AS t (x)
--> "2.0","4.0"

-- stddev_of_one_value_is_null
SELECT stddev(x), variance(x), stddev_pop(x), var_pop(x) FROM (VALUES 5) AS t (x)
--> ,,"0.0","0.0"

-- stddev_of_nothing_is_null
SELECT stddev(x), var_pop(x), corr(x, x) FROM (VALUES 5e0) AS t (x) WHERE x > 9e0
--> ,,

-- stddev_by_group_skips_null
SELECT product, round(stddev(quantity), 4) FROM sales GROUP BY product ORDER BY product
--> "cake","1.0"
--> "coffee","1.0"
--> "tea","1.5275"

-- corr_of_a_line
SELECT round(corr(y, x), 6), round(corr(-y, x), 6) FROM (VALUES (1, 2), (2, 4), (3, 6)) AS t (x, y)
--> "1.0","-1.0"

-- corr_of_a_cloud
SELECT round(corr(y, x), 6) FROM (VALUES (1, 1), (2, 3), (3, 2), (4, 4)) AS t (x, y)
--> "0.8"

-- covariance
SELECT round(covar_pop(y, x), 6), round(covar_samp(y, x), 6) FROM (VALUES (1, 2), (2, 4), (3, 6)) AS t (x, y)
--> "1.333333","2.0"

-- linear_regression
SELECT round(regr_slope(y, x), 6), round(regr_intercept(y, x), 6) FROM (VALUES (1, 3), (2, 5), (3, 7)) AS t (x, y)
--> "2.0","1.0"

-- geometric_mean
SELECT round(geometric_mean(x), 6) FROM (VALUES 2, 8) AS t (x)
--> "4.0"

-- array_agg_in_order
SELECT array_agg(x ORDER BY y DESC) FROM (VALUES ('a', 1), ('b', 3), (NULL, 2)) AS t (x, y)
--> "[b, null, a]"

-- array_agg_of_distinct_values_in_order
SELECT array_agg(DISTINCT x ORDER BY x) FROM (VALUES 'b', 'a', 'b', 'c') AS t (x)
--> "[a, b, c]"

-- array_agg_of_distinct_values_in_order_with_null
SELECT array_agg(DISTINCT x ORDER BY x), array_agg(DISTINCT x ORDER BY x DESC) FROM (VALUES 2, 1, NULL, 2) AS t (x)
--> "[1, 2, null]","[2, 1, null]"

-- array_agg_nulls_first
SELECT array_agg(x ORDER BY x NULLS FIRST) FROM (VALUES 2, NULL, 1) AS t (x)
--> "[null, 1, 2]"

-- array_agg_of_distinct_by_group
SELECT country, array_agg(DISTINCT product ORDER BY product) AS products FROM sales WHERE country IS NOT NULL GROUP BY country ORDER BY country
--> "DE","[coffee, tea]"
--> "JP","[cake, coffee, tea]"
--> "US","[cake, coffee, tea]"

-- array_agg_filtered
SELECT array_agg(country ORDER BY id) FILTER (WHERE country IS NOT NULL AND id > 5) FROM sales
--> "[DE, DE, JP, US]"

-- array_agg_of_nothing_is_null
SELECT array_agg(x) FROM (VALUES 1) AS t (x) WHERE x > 1
-->

-- array_join_of_distinct_values
SELECT array_join(array_agg(DISTINCT product ORDER BY product), ', ') FROM sales
--> "cake, coffee, tea"

-- array_join_skips_null
-- source: functions/array.html
SELECT array_join(ARRAY['a', NULL, 'b'], '-'), array_join(ARRAY['a', NULL, 'b'], '-', '?'), array_join(ARRAY[], ',')
--> "a-b","a-?-b",""

-- array_join_of_numbers
-- source: functions/array.html
SELECT array_join(ARRAY[1, 2, 3], ','), array_join(array_agg(x ORDER BY x DESC), '>') FROM (VALUES 5, 7) AS t (x)
--> "1,2,3","7>5"

-- array_join_of_nothing
-- source: functions/array.html
SELECT array_join(CAST(NULL AS array(varchar)), ','), array_join(ARRAY[NULL, NULL], ',') = ''
--> ,"true"

-- listagg_in_order
SELECT listagg(value, ',') WITHIN GROUP (ORDER BY value) FROM (VALUES 'a', 'c', 'b') AS t (value)
--> "a,b,c"

-- listagg_of_casts
SELECT listagg(CAST(v AS varchar), ',') WITHIN GROUP (ORDER BY v DESC) FROM (VALUES 1, 3, 2) AS t (v)
--> "3,2,1"

-- listagg_without_separator
SELECT listagg(x) WITHIN GROUP (ORDER BY x) FROM (VALUES 'b', NULL, 'a') AS t (x)
--> "ab"

-- listagg_of_distinct_values
SELECT listagg(DISTINCT country, '/') WITHIN GROUP (ORDER BY country) FROM sales
--> "DE/JP/US"

-- listagg_by_group
SELECT id, listagg(value, ',') WITHIN GROUP (ORDER BY o) FROM (VALUES (100, 1, 'a'), (200, 3, 'c'), (200, 2, 'b')) AS t (id, o, value) GROUP BY id ORDER BY id
--> "100","a"
--> "200","b,c"

-- listagg_of_numbers_is_refused
SELECT listagg(x, ',') WITHIN GROUP (ORDER BY x) FROM (VALUES 1) AS t (x)
--! FUNCTION_NOT_FOUND or TYPE_MISMATCH

-- map_agg_of_one
SELECT map_agg(k, v) FROM (VALUES ('a', 1)) AS t (k, v)
--> "{a=1}"

-- map_agg_looked_up
SELECT m['JP'], element_at(m, 'FR'), cardinality(m) FROM (SELECT map_agg(country, n) AS m FROM (SELECT country, count(*) AS n FROM sales GROUP BY country))
--> "4",,"3"

-- map_agg_skips_null_keys
SELECT map_agg(k, v) FROM (VALUES (NULL, 1), ('b', NULL)) AS t (k, v)
--> "{b=null}"

-- map_agg_by_group
SELECT country, element_at(map_agg(product, quantity), 'cake') FROM sales GROUP BY country ORDER BY country
--> "DE",
--> "JP","3"
--> "US","2"
--> ,"1"

-- map_agg_of_nothing_is_null
SELECT map_agg(x, x) FROM (VALUES 1) AS t (x) WHERE x > 1
-->

-- histogram_looked_up
SELECT element_at(h, 'tea'), element_at(h, 'water') FROM (SELECT histogram(product) AS h FROM sales)
--> "4",

-- multimap_agg
SELECT array_sort(element_at(multimap_agg(k, v), 'a')) FROM (VALUES ('a', 2), ('b', 3), ('a', 1)) AS t (k, v)
--> "[1, 2]"

-- map_union
SELECT element_at(m, 'a'), element_at(m, 'b'), cardinality(m) FROM (SELECT map_union(x) AS m FROM (VALUES MAP(ARRAY['a'], ARRAY[1]), MAP(ARRAY['b'], ARRAY[2])) AS t (x))
--> "1","2","2"

-- largest_and_smallest_n
SELECT max(x, 2), min(x, 2) FROM (VALUES 3, 1, NULL, 5) AS t (x)
--> "[5, 3]","[1, 3]"

-- max_by_n
SELECT max_by(x, y, 2), min_by(x, y, 2) FROM (VALUES ('a', 1), ('b', 3), ('c', 2)) AS t (x, y)
--> "[b, c]","[a, c]"

-- max_by_with_null
SELECT max_by(x, y), min_by(x, y) FROM (VALUES ('a', 1), (NULL, 2), ('c', NULL)) AS t (x, y)
--> ,"a"

-- count_if_and_booleans
SELECT count_if(quantity > 2), bool_and(price > 3), bool_or(price > 9), every(id < 10) FROM sales
--> "4","true","true","false"

-- booleans_of_nothing_are_null
SELECT bool_and(x), bool_or(x), count_if(x) FROM (VALUES true) AS t (x) WHERE NOT x
--> ,,"0"

-- count_of_distinct_values
SELECT count(*), count(quantity), count(DISTINCT quantity), count(DISTINCT country) FROM sales
--> "10","9","5","3"

-- count_of_distinct_rows
SELECT count(*) FROM (SELECT DISTINCT country, product FROM sales)
--> "9"

-- sum_of_distinct_values
SELECT sum(DISTINCT quantity), avg(DISTINCT quantity) FROM sales
--> "15","3.0"

-- avg_of_integers_is_a_double
SELECT avg(x), avg(CAST(x AS double)), sum(x) / count(x) FROM (VALUES 1, 2, 4) AS t (x)
--> "2.3333333333333335","2.3333333333333335","2"

-- avg_of_decimals_keeps_the_scale
-- source: functions/decimal.html
SELECT avg(price), sum(price), max(price), avg(quantity * price) FROM sales
--> "5.62","56.20","10.00","13.75"

-- arbitrary
SELECT arbitrary(x) FROM (VALUES NULL, 7, 7) AS t (x)
--> "7"

-- bitwise_aggregates
SELECT bitwise_and_agg(x), bitwise_or_agg(x) FROM (VALUES 12, 10, NULL) AS t (x)
--> "8","14"

-- reduce_agg
SELECT id, reduce_agg(value, 0, (a, b) -> a + b, (a, b) -> a + b) FROM (VALUES (1, 3), (1, 4), (2, 6)) AS t (id, value) GROUP BY id ORDER BY id
--> "1","7"
--> "2","6"

-- several_filters
SELECT count(*) FILTER (WHERE country = 'JP') AS jp, sum(quantity) FILTER (WHERE product = 'tea') AS tea, min(id) FILTER (WHERE false) AS none FROM sales
--# "jp","tea","none"
--> "4","11",

-- aggregates_of_an_empty_table
SELECT count(*), count(id), sum(price), max(sold_on), array_agg(id), approx_distinct(country) FROM empty_sales
--> "0","0",,,,"0"

-- groups_of_an_empty_table
SELECT country, count(*) FROM empty_sales GROUP BY country
--> (no rows)

-- having
SELECT product, sum(quantity) AS pieces FROM sales GROUP BY product HAVING sum(quantity) > 6 AND count(*) > 3
--> "tea","11"

-- having_without_group
SELECT count(*) FROM sales HAVING count(*) > 100
--> (no rows)

-- group_by_an_expression
SELECT upper(product), max(price) FROM sales GROUP BY upper(product) ORDER BY 2, 1
--> "TEA","3.75"
--> "COFFEE","4.50"
--> "CAKE","10.00"

-- group_by_a_position
SELECT day_of_week(sold_on) AS day, count(*) AS n FROM sales GROUP BY 1 HAVING count(*) > 1 ORDER BY 1
--> "1","2"
--> "2","2"
--> "4","2"
--> "7","3"

-- Refusals.
-- source: functions/aggregate.html

-- sum_of_texts
SELECT sum(product) FROM sales
--! FUNCTION_NOT_FOUND

-- a_column_outside_of_the_groups
SELECT country, product, count(*) FROM sales GROUP BY country
--! EXPRESSION_NOT_AGGREGATE

-- an_aggregate_in_where
SELECT country FROM sales WHERE sum(quantity) > 3
--! EXPRESSION_NOT_SCALAR

-- an_aggregate_in_an_aggregate
SELECT sum(count(*)) FROM sales
--! NESTED_AGGREGATION

-- a_group_at_no_position
SELECT country, count(*) FROM sales GROUP BY 3
--! INVALID_COLUMN_REFERENCE

-- a_group_by_an_aggregate
SELECT count(*) AS n FROM sales GROUP BY 1
--! EXPRESSION_NOT_SCALAR

-- a_group_by_an_alias
SELECT upper(country) AS place, count(*) FROM sales GROUP BY place
--! COLUMN_NOT_FOUND

-- a_having_by_an_alias
SELECT country, count(*) AS n FROM sales GROUP BY country HAVING n > 1
--! COLUMN_NOT_FOUND

-- a_having_that_is_not_a_condition
SELECT country FROM sales GROUP BY country HAVING count(*)
--! TYPE_MISMATCH

-- count_of_two_columns
SELECT count(DISTINCT country, product) FROM sales
--! FUNCTION_NOT_FOUND
