-- Numbers, decimals, casts, NULL, conditions, aggregates, arrays, maps and rows.
-- source: functions/math.html

-- integers_divide_without_a_rest
SELECT 7 / 2, -7 / 2, 7 % 3, -7 % 3, mod(-7, 3), 7 / 2.0, CAST(7 AS double) / 2, 5 / 2 * 2.0
--> "3","-3","1","-1","-1","3.5","3.5","4.0"

-- decimals_keep_their_scale
SELECT DECIMAL '1.50' + DECIMAL '2.255', DECIMAL '1.50' * DECIMAL '2.0', DECIMAL '10.00' / 3, DECIMAL '1.00' - 1, DECIMAL '7.5' % 2
--> "3.755","3.000","3.33","0.00","1.5"

-- decimals_are_rounded_half_up
SELECT CAST(DECIMAL '2.345' AS decimal(10,2)), CAST(DECIMAL '-2.345' AS decimal(10,2)), round(DECIMAL '2.5'), round(DECIMAL '12.345', 1), truncate(DECIMAL '2.99')
--> "2.35","-2.35","3","12.300","2"

-- doubles_are_rounded_half_up
SELECT round(2.5e0), round(-2.5e0), round(2.346e0, 2), round(1234.5e0, -2), CAST(2.5e0 AS integer), CAST(-2.5e0 AS bigint), truncate(-2.7e0)
--> "3.0","-3.0","2.35","1200.0","3","-3","-2.0"

-- round_of_integers
SELECT round(15, -1), round(14, -1), floor(7 / 2), ceil(7 / 2.0), ceiling(-1.5e0), floor(-1.5e0), sign(-3), abs(-2.5e0)
--> "20","10","3","4.0","-1.0","-2.0","-1","2.5"

-- large_and_small_doubles_print_with_an_exponent
SELECT 1e7, 12345678.9e0, 0.001e0, 0.0001e0, 1e0, 100000.0e0, 1e21, -1.5e-7
--> "1.0E7","1.23456789E7","0.001","1.0E-4","1.0","100000.0","1.0E21","-1.5E-7"

-- sums_and_means_of_decimals
SELECT sum(price), avg(price), min(price), max(price) * 2, sum(price) / count(*) FROM sales WHERE product = 'tea'
--> "13.95","3.49","3.20","7.50","3.49"

-- sums_of_integers_are_bigint
SELECT sum(x), avg(x) FROM (VALUES 2147483647, 2147483647) AS t (x)
--> "4294967294","2.147483647E9"

-- greatest_and_least
SELECT greatest(1, 3, 2), least(DATE '2026-11-15', DATE '2026-11-01'), greatest('a', 'b'), greatest(1, NULL, 3), least(1, 2.5e0)
--> "3","2026-11-01","b",,"1.0"

-- casts_of_texts_to_numbers
SELECT CAST('42' AS integer), CAST('-1.5' AS double), CAST('12.345' AS decimal(10,2)), CAST('7x' AS bigint), CAST('1e3' AS double)
--! INVALID_CAST_ARGUMENT

-- casts_of_good_texts
SELECT CAST('42' AS integer), CAST('-1.5' AS double), CAST('12.345' AS decimal(10,2)), CAST('1e3' AS double), CAST('true' AS boolean), CAST('t' AS boolean), CAST('0' AS boolean)
--> "42","-1.5","12.35","1000.0","true","true","false"

-- casts_of_numbers_to_texts
SELECT CAST(42 AS varchar), CAST(12345 AS varchar(3))
--! INVALID_CAST_ARGUMENT

-- casts_of_numbers_to_long_texts
SELECT CAST(42 AS varchar), CAST(DECIMAL '1.50' AS varchar), CAST(true AS varchar), CAST('abcdef' AS varchar(3))
--> "42","1.50","true","abc"

-- try_cast_gives_null
SELECT try_cast('x' AS integer), try_cast('2026-13-01' AS date), try_cast('1.5' AS integer), try_cast(300 AS tinyint), try_cast('12' AS bigint), coalesce(try_cast('' AS double), 0)
--> ,,,,"12","0.0"

-- try_gives_null
SELECT try(1 / 0), try(CAST('a' AS integer)), coalesce(try(10 / x), 0), try(date_parse('x', '%Y')), try(ARRAY[1][2]) FROM (VALUES 0) AS t (x)
--> ,,"0",,

-- nullif_and_division
SELECT 10 / nullif(x, 0), 100.0 * 3 / nullif(4, 0), coalesce(1 / nullif(x, 0), -1), nullif('a', 'a'), nullif(1, 2) FROM (VALUES 0) AS t (x)
--> ,"75.0","-1",,"1"

-- division_by_zero_of_doubles
SELECT 1e0 / 0, -1e0 / 0, 0e0 / 0, is_nan(0e0 / 0), is_infinite(1 / 0e0)
--> "Infinity","-Infinity","NaN","true","true"

-- null_in_logic
SELECT NULL AND false, NULL OR true, NOT CAST(NULL AS boolean), NULL = NULL, NULL IS DISTINCT FROM 1, 1 IN (2, NULL), 1 IN (1, NULL), 1 NOT IN (2, NULL)
--> "false","true",,,"true",,"true",

-- null_in_aggregates
SELECT count(x), sum(x), avg(x), min(x), count(*), array_agg(x ORDER BY x NULLS FIRST), count_if(x > 1), bool_or(x > 1), every(x > 0) FROM (VALUES 1, NULL, 3) AS t (x)
--> "2","4","2.0","1","3","[null, 1, 3]","1","true","true"

-- coalesce_takes_the_common_type
SELECT coalesce(NULL, 1, 2.5e0), coalesce(CAST(NULL AS varchar), 'x'), if(false, 1), if(NULL, 1, 2), CASE WHEN NULL THEN 1 ELSE 2 END
--> "1.0","x",,"2","2"

-- case_without_else
SELECT CASE WHEN quantity >= 4 THEN 'big' WHEN quantity >= 2 THEN 'middle' WHEN quantity IS NULL THEN 'unknown' END AS size, count(*) FROM sales GROUP BY 1 ORDER BY 2 DESC, 1
--> "middle","5"
--> "big","2"
--> ,"2"
--> "unknown","1"

-- between_and_in
SELECT count_if(price BETWEEN DECIMAL '3.50' AND DECIMAL '4.00'), count_if(price NOT BETWEEN 4 AND 100), count_if(product IN ('tea', 'cake')), count_if(country NOT IN ('JP')) FROM sales
--> "4","4","7","5"

-- comparisons_of_different_numbers
SELECT 1 = 1.0, DECIMAL '0.1' = 0.1e0, BIGINT '5' > DECIMAL '4.9', 3 = '3'
--! TYPE_MISMATCH

-- comparisons_of_different_numbers_run
SELECT 1 = 1.0e0, DECIMAL '0.10' = DECIMAL '0.1', BIGINT '5' > DECIMAL '4.9', TINYINT '1' < 2e0, 0.1e0 + 0.2e0 = 0.3e0
--> "true","true","true","true","false"

-- limits_of_types
SELECT 9223372036854775807, -2147483648, TINYINT '-128', CAST(32767 AS smallint), BIGINT '9223372036854775806' + 1, 2147483647 + BIGINT '1', 4294967296
--> "9223372036854775807","-2147483648","-128","32767","9223372036854775807","2147483648","4294967296"

-- booleans_print_as_words
SELECT true, false, NULL, 1 < 2, NOT true, true AND NOT false OR false
--> "true","false",,"true","false","true"

-- statistics_of_a_column
-- source: functions/aggregate.html
SELECT stddev_pop(x), var_pop(x), variance(x), stddev_samp(y) FROM (VALUES (1e0, 2e0), (3e0, 2e0), (5e0, 2e0), (7e0, 2e0)) AS t (x, y)
--> "2.23606797749979","5.0","6.666666666666667","0.0"

-- lists_of_a_group
-- source: functions/aggregate.html
SELECT country, array_agg(product ORDER BY id) AS products, array_join(array_agg(DISTINCT product ORDER BY product), '|') AS distinct_products, listagg(product, ', ') WITHIN GROUP (ORDER BY id) AS list
FROM sales WHERE country IN ('JP', 'DE') GROUP BY country ORDER BY country
--> "DE","[coffee, tea]","coffee|tea","coffee, tea"
--> "JP","[tea, coffee, tea, cake]","cake|coffee|tea","tea, coffee, tea, cake"

-- maps_of_a_group
-- source: functions/aggregate.html
SELECT map_agg(id, product), histogram(country)['DE'], multimap_agg(product, id)['coffee'] FROM sales WHERE id IN (4, 7)
--> "{4=coffee, 7=coffee}","1","[4, 7]"

-- array_agg_with_a_filter
-- source: functions/aggregate.html
SELECT array_agg(country ORDER BY id) FILTER (WHERE country IS NOT NULL), array_sort(array_agg(DISTINCT quantity)), set_agg(product) IS NULL FROM sales WHERE product = 'cake'
--! FUNCTION_NOT_FOUND

-- array_agg_with_a_filter_runs
-- source: functions/aggregate.html
SELECT array_agg(country ORDER BY id) FILTER (WHERE country IS NOT NULL), array_sort(array_agg(DISTINCT quantity)), arbitrary(product) FROM sales WHERE product = 'cake'
--> "[JP, US]","[1, 2, 3]","cake"

-- checksums_and_bits
-- source: functions/aggregate.html
SELECT bitwise_or_agg(x), bitwise_and_agg(x), count(DISTINCT checksum_of) FROM (VALUES (5, 1), (4, 1)) AS t (x, checksum_of)
--> "5","4","1"

-- approximate_numbers
-- source: functions/aggregate.html
SELECT approx_distinct(user_id), approx_distinct(dt), abs(approx_percentile(ms, 0.01) - 40) <= 20, approx_most_frequent(1, dt, 10) FROM visits
--> "3","3","true","{2026-11-14=3}"

-- arrays_by_subscript
-- source: functions/array.html
SELECT a[1], element_at(a, -1), element_at(a, 9), cardinality(a), contains(a, 'hot'), array_position(a, 'green'), a[1] || '!' FROM (VALUES (ARRAY['hot', 'green'])) AS t (a)
--> "hot","green",,"2","true","2","hot!"

-- arrays_are_changed
-- source: functions/array.html
SELECT array_distinct(ARRAY[1, 2, 1]), array_sort(ARRAY[3, 1, NULL, 2]), array_remove(ARRAY[1, 2, 1], 1), ARRAY[1] || ARRAY[2, 3], ARRAY[1] || 2, reverse(ARRAY[1, 2]), slice(ARRAY[1, 2, 3], 2, 2), flatten(ARRAY[ARRAY[1], ARRAY[2, 3]])
--> "[1, 2]","[1, 2, 3, null]","[2]","[1, 2, 3]","[1, 2]","[2, 1]","[2, 3]","[1, 2, 3]"

-- arrays_as_sets
-- source: functions/array.html
SELECT array_intersect(ARRAY[1, 2], ARRAY[2, 3]), array_union(ARRAY[1, 2], ARRAY[2, 3]), array_except(ARRAY[1, 2], ARRAY[2]), arrays_overlap(ARRAY[1, 2], ARRAY[2]), array_max(ARRAY[1, 3, 2]), array_min(ARRAY['b', 'a'])
--> "[2]","[1, 2, 3]","[1]","true","3","a"

-- arrays_by_lambdas
-- source: functions/lambda.html
SELECT transform(ARRAY[1, 2, 3], x -> x * 10), filter(tags, x -> x <> 'hot'), reduce(ARRAY[1, 2, 3], 0, (s, x) -> s + x, s -> s), any_match(tags, t -> t LIKE 'g%'), all_match(ARRAY[2, 4], x -> x % 2 = 0), none_match(ARRAY[1], x -> x > 1), zip_with(ARRAY[1, 2], ARRAY[3, 4], (a, b) -> a * b) FROM sales WHERE id = 1
--> "[10, 20, 30]","[green]","6","true","true","true","[3, 8]"

-- sums_of_an_array
-- source: functions/array.html
SELECT id, reduce(transform(tags, t -> length(t)), BIGINT '0', (s, x) -> s + x, s -> s) AS letters, array_join(tags, '/', '?') AS joined FROM sales WHERE id IN (3, 5, 6) ORDER BY id
--> "3","0",""
--> "5","9","iced/green"
--> "6",,"sweet/?"

-- maps_by_key
-- source: functions/map.html
SELECT attributes['size'], element_at(attributes, 'color'), cardinality(attributes), map_keys(map_filter(attributes, (k, v) -> v = 's')), transform_values(attributes, (k, v) -> upper(v))['size'] FROM sales WHERE id = 1
--> "s","green","2","[size]","S"

-- maps_are_made
-- source: functions/map.html
SELECT MAP(ARRAY['a', 'b'], ARRAY[1, 2]), map_concat(MAP(ARRAY['a'], ARRAY[1]), MAP(ARRAY['a'], ARRAY[9]))['a'], map_from_entries(ARRAY[ROW('k', 'v')])['k'], map_entries(MAP(ARRAY[1], ARRAY['x'])), map_values(MAP(ARRAY[1], ARRAY['x']))
--> "{a=1, b=2}","9","v","[{field0=1, field1=x}]","[x]"

-- rows_and_their_fields
-- source: language/types.html
SELECT customer.name, customer.address.zip, CAST(ROW(1, 'a') AS row(id integer, name varchar)).name, customer FROM sales WHERE id = 3
--> "Cy",,"a","{id=3, name=Cy, address={city=Reno, zip=null}}"

-- structures_print_as_in_athena
-- source: language/types.html
SELECT tags, attributes, customer.address, ARRAY[1.5e0, NULL], ARRAY[ARRAY['a'], ARRAY[]], MAP(), ARRAY[DATE '2026-11-15'] FROM sales WHERE id = 7
--> "[hot]","{size=m}","{city=Berlin, zip=10115}","[1.5, null]","[[a], []]","{}","[2026-11-15]"

-- sequences_of_numbers
-- source: functions/array.html
SELECT sequence(1, 5), sequence(0, 10, 5), sequence(3, 1), repeat('x', 2), array_sort(sequence(1, 3), (a, b) -> IF(a > b, -1, IF(a < b, 1, 0)))
--> "[1, 2, 3, 4, 5]","[0, 5, 10]","[3, 2, 1]","[x, x]","[3, 2, 1]"

-- zipped_arrays
-- source: sql/select.html
SELECT a, b, n FROM UNNEST(ARRAY['x', 'y'], ARRAY[1]) WITH ORDINALITY AS t (a, b, n)
--> "x","1","1"
--> "y",,"2"

-- types_by_name
-- source: functions/conversion.html
SELECT typeof(1), typeof(BIGINT '1'), typeof(1.5e0), typeof(DECIMAL '1.50'), typeof(sold_on), typeof(country), typeof(tags), typeof(count_of) FROM (SELECT sold_on, country, tags, count(*) AS count_of FROM sales WHERE id = 1 GROUP BY 1, 2, 3)
--> "integer","bigint","double","decimal(3,2)","date","varchar","array(varchar)","bigint"

-- bytes_as_a_text
-- source: functions/conversion.html
SELECT format_number(1234567), format_number(1500), parse_data_size('2kB')
--> "1.23M","1.5K","2048"

-- rows_beside_shorter_arrays
-- source: functions/array.html
SELECT zip_with(l, r, (x, y) -> x.name) AS names, transform(zip(l, r), e -> e[1].name) AS zipped, element_at(l, 2).name AS beyond
FROM (SELECT ARRAY[CAST(ROW('x', 1) AS row(name varchar, n integer))] AS l, ARRAY[1, 2] AS r FROM sales WHERE id = 1)
--> "[x, null]","[x, null]",

-- fields_of_rows_of_other_rows
-- source: functions/window.html
SELECT id, before.name AS before, joined.address.city AS city FROM (SELECT s.id, lag(s.customer) OVER (ORDER BY s.id) AS before, o.customer AS joined FROM sales s LEFT JOIN sales o ON o.id = s.id + 3 AND o.product = 'tea' WHERE s.id IN (2, 5, 6, 7)) ORDER BY id
--> "2",,"Osaka"
--> "5","Ben",
--> "6","Ben",
--> "7",,
