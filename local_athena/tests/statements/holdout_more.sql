-- A second list, written after the first was run once and before anything was mended: longer queries and rarer forms.
-- source: sql/select.html

-- errors_by_hour_in_a_zone
WITH logs (time, code) AS (VALUES ('2026-11-09T15:30:00.000000Z', 500), ('2026-11-09T14:59:59.999999Z', 200), ('2026-11-09T16:00:00Z', 200))
SELECT date_trunc('day', from_iso8601_timestamp(time) AT TIME ZONE 'Asia/Tokyo') AS day, count(*) AS n, count_if(code >= 500) AS errors FROM logs GROUP BY 1 ORDER BY 1
--> "2026-11-09 00:00:00.000 Asia/Tokyo","1","0"
--> "2026-11-10 00:00:00.000 Asia/Tokyo","2","1"

-- distinct_instants
SELECT count(DISTINCT from_iso8601_timestamp(v)) AS n, min(from_iso8601_timestamp(v)) AS first FROM (VALUES '2026-11-09T00:00:00Z', '2026-11-09T00:00:00Z', '2026-11-10T00:00:00Z') AS t (v)
--> "2","2026-11-09 00:00:00.000 UTC"

-- minutes_of_requests
SELECT date_format(from_iso8601_timestamp(v), '%H:%i') AS minute, count(*) AS n FROM (VALUES '2026-11-09T01:02:03Z', '2026-11-09T01:02:59Z', '2026-11-09T01:03:00Z') AS t (v) GROUP BY 1 ORDER BY 1
--> "01:02","2"
--> "01:03","1"

-- a_date_of_three_partition_keys
SELECT date(year || '-' || lpad(month, 2, '0') || '-' || lpad(day, 2, '0')) AS d FROM (VALUES ('2026', '9', '5')) AS t (year, month, day)
--> "2026-09-05"

-- a_date_of_three_numbers
SELECT date_parse(concat(CAST(y AS varchar), '-', CAST(m AS varchar), '-', CAST(d AS varchar)), '%Y-%c-%e') AS at FROM (VALUES (2026, 9, 5)) AS t (y, m, d)
--> "2026-09-05 00:00:00.000"

-- the_newest_partition
SELECT count(*) AS n, max(dt) AS newest FROM visits WHERE dt = (SELECT max(dt) FROM visits)
--> "2","2026-11-15"

-- days_added_from_a_column
SELECT id, date_add('day', quantity, sold_on) AS due, sold_on + quantity * INTERVAL '1' DAY AS also, date_add('month', -quantity, sold_on) AS before FROM sales WHERE id IN (3, 8) ORDER BY id
--> "3","2026-11-08","2026-11-08","2026-06-03"
--> "8",,,

-- age_in_years_and_days
SELECT date_diff('year', DATE '2000-11-16', current_date) AS years, date_diff('day', DATE '2026-01-01', current_date) AS days
--> "25","318"

-- month_to_date_and_the_month_before
SELECT count_if(sold_on >= date_trunc('month', current_date)) AS this_month, count_if(sold_on >= date_trunc('month', current_date - interval '1' month) AND sold_on < date_trunc('month', current_date)) AS last_month FROM sales
--> "10","0"

-- rolling_distinct_users
SELECT d.day, count(DISTINCT v.user_id) AS users FROM UNNEST(sequence(DATE '2026-11-13', DATE '2026-11-15')) AS d (day)
JOIN visits v ON CAST(v.dt AS date) BETWEEN d.day - INTERVAL '1' DAY AND d.day GROUP BY d.day ORDER BY d.day
--> "2026-11-13","2"
--> "2026-11-14","3"
--> "2026-11-15","3"

-- weekly_with_missing_weeks
WITH weeks AS (SELECT w FROM UNNEST(sequence(DATE '2026-10-19', DATE '2026-11-09', INTERVAL '7' DAY)) AS t (w)),
s AS (SELECT date_trunc('week', sold_on) AS w, sum(quantity * price) AS amount FROM sales GROUP BY 1)
SELECT weeks.w, coalesce(s.amount, 0) AS amount, coalesce(s.amount, 0) - coalesce(lag(s.amount) OVER (ORDER BY weeks.w), 0) AS change FROM weeks LEFT JOIN s ON s.w = weeks.w ORDER BY weeks.w
--> "2026-10-19","0.00","0.00"
--> "2026-10-26","7.00","7.00"
--> "2026-11-02","49.25","42.25"
--> "2026-11-09","67.50","18.25"

-- cumulative_share
SELECT product, n, round(CAST(sum(n) OVER (ORDER BY n DESC, product) AS double) / sum(n) OVER (), 2) AS share FROM (SELECT product, sum(quantity) AS n FROM sales GROUP BY product) ORDER BY n DESC, product
--> "tea","11","0.48"
--> "cake","6","0.74"
--> "coffee","6","1.0"

-- rank_within_weeks
WITH t AS (SELECT date_trunc('week', sold_on) AS week, product, sum(quantity) AS n FROM sales GROUP BY 1, 2)
SELECT week, product, n, rank() OVER (PARTITION BY week ORDER BY n DESC NULLS LAST) AS r FROM t ORDER BY week, r, product
--> "2026-10-26","tea","2","1"
--> "2026-11-02","tea","9","1"
--> "2026-11-02","coffee","4","2"
--> "2026-11-09","cake","6","1"
--> "2026-11-09","coffee","2","2"
--> "2026-11-09","tea",,"3"

-- rollup_of_weeks_and_products
-- source: sql/select.html#complex-grouping-operations
SELECT date_trunc('week', sold_on) AS week, product, count(*) AS n FROM sales GROUP BY ROLLUP (date_trunc('week', sold_on), product)
--! INVALID_COLUMN_REFERENCE

-- rollup_of_weeks_of_a_subquery
SELECT week, product, count(*) AS n FROM (SELECT date_trunc('week', sold_on) AS week, product FROM sales WHERE product <> 'cake') GROUP BY ROLLUP (week, product) ORDER BY 1 NULLS LAST, 2 NULLS LAST
--> "2026-10-26","tea","1"
--> "2026-10-26",,"1"
--> "2026-11-02","coffee","2"
--> "2026-11-02","tea","2"
--> "2026-11-02",,"4"
--> "2026-11-09","coffee","1"
--> "2026-11-09","tea","1"
--> "2026-11-09",,"2"
--> ,,"7"

-- rollup_with_a_real_null
SELECT coalesce(country, IF(grouping(country) = 1, 'all', 'unknown')) AS country, count(*) AS n, approx_distinct(product) AS products FROM sales GROUP BY ROLLUP (country) ORDER BY n DESC, 1
--> "all","10","3"
--> "JP","4","3"
--> "US","3","3"
--> "DE","2","2"
--> "unknown","1","1"

-- having_with_a_subquery
SELECT product FROM sales GROUP BY product HAVING sum(quantity) > (SELECT avg(n) FROM (SELECT sum(quantity) AS n FROM sales GROUP BY product)) ORDER BY 1
--> "tea"

-- order_by_a_case
SELECT DISTINCT product, CASE product WHEN 'tea' THEN 1 WHEN 'cake' THEN 2 ELSE 3 END AS o FROM sales ORDER BY CASE product WHEN 'tea' THEN 1 WHEN 'cake' THEN 2 ELSE 3 END
--> "tea","1"
--> "cake","2"
--> "coffee","3"

-- order_by_an_aggregate_that_is_not_selected
SELECT product FROM sales GROUP BY product ORDER BY sum(quantity * price) DESC
--> "cake"
--> "tea"
--> "coffee"

-- group_by_a_case_and_a_filter_with_distinct
SELECT CASE WHEN country = 'JP' THEN 'home' ELSE 'abroad' END AS market, count(DISTINCT product) FILTER (WHERE quantity > 1) AS products FROM sales GROUP BY CASE WHEN country = 'JP' THEN 'home' ELSE 'abroad' END ORDER BY market DESC
--> "home","2"
--> "abroad","3"

-- a_subquery_over_an_array
SELECT id, (SELECT count(*) FROM UNNEST(tags) AS t (x) WHERE x LIKE '%e%') AS with_e FROM sales WHERE id IN (1, 3, 5, 9) ORDER BY id
--> "1","1"
--> "3","0"
--> "5","2"
--> "9","1"

-- a_lateral_join
SELECT s.id, l.total FROM sales s CROSS JOIN LATERAL (SELECT s.quantity * s.price AS total) l WHERE s.id < 3 ORDER BY s.id
--> "1","7.00"
--> "2","4.00"

-- values_alone
VALUES (1, 'a'), (2, 'b')
--# "_col0","_col1"
--> "1","a"
--> "2","b"

-- a_table_alone
SELECT count(*) FROM (TABLE sales_by_country)
--> "4"

-- a_query_in_parentheses
(SELECT id FROM sales WHERE id = 1) UNION ALL (SELECT id FROM sales ORDER BY id DESC LIMIT 1) ORDER BY id
--> "1"
--> "10"

-- with_inside_a_subquery
SELECT * FROM (WITH a AS (SELECT 1 AS x) SELECT x + 1 AS y FROM a) t
--# "y"
--> "2"

-- in_values
SELECT id FROM sales WHERE id IN (VALUES 1, 3) AND product = SOME (SELECT 'tea') ORDER BY id
--> "1"
--> "3"

-- one_star_of_two_tables
SELECT b.*, a.x AS ax FROM (VALUES (1, 2)) AS a (x, y) JOIN (VALUES (1, 3)) AS b (x, z) ON a.x = b.x
--# "x","z","ax"
--> "1","3","1"

-- fields_of_a_row_by_a_star
SELECT r.* FROM (SELECT CAST(ROW(1, 'a') AS row(id integer, name varchar)) AS r)
--# "id","name"
--> "1","a"

-- quoted_aliases
SELECT count(*) AS "total count", max(id) "max.id" FROM sales ORDER BY "total count"
--# "total count","max.id"
--> "10","10"

-- rows_of_a_group
SELECT country, array_agg(CAST(ROW(id, product) AS row(id integer, product varchar)) ORDER BY id) AS sales FROM sales WHERE country = 'DE' GROUP BY country
--> "DE","[{id=7, product=coffee}, {id=8, product=tea}]"

-- newest_value_of_each_key
SELECT customer.id AS id, max_by(ROW(product, price), sold_at)[1] AS product, max(sold_at) AS last FROM sales WHERE customer.id IN (1, 4) GROUP BY customer.id ORDER BY 1
--> "1","cake","2026-11-14 20:00:00.000"
--> "4","tea","2026-11-12 18:20:00.000"

-- the_smallest_and_the_largest_ones
SELECT min(id, 2), max(id, 2), min(price) FILTER (WHERE country = 'US') FROM sales
--> "[1, 2]","[10, 9]","3.50"

-- correlation_and_a_line
-- source: functions/aggregate.html
SELECT round(corr(y, x), 6), regr_slope(y, x), regr_intercept(y, x), covar_pop(y, x) FROM (VALUES (1e0, 3e0), (2e0, 5e0), (3e0, 7e0)) AS t (x, y)
--> "1.0","2.0","1.0","1.3333333333333333"

-- listagg_by_group
-- source: functions/aggregate.html
SELECT product, listagg(coalesce(country, '?'), '/') WITHIN GROUP (ORDER BY id DESC) AS countries, listagg(DISTINCT country, ',') WITHIN GROUP (ORDER BY country) AS distinct_countries FROM sales GROUP BY product ORDER BY product
--> "cake","US/JP/?","JP,US"
--> "coffee","DE/US/JP","DE,JP,US"
--> "tea","DE/JP/US/JP","DE,JP,US"

-- maps_are_united
-- source: functions/aggregate.html
SELECT map_union(attributes)['gift'], cardinality(map_union(attributes)), map_agg(id, price)[1] FROM sales WHERE id IN (1, 9)
--> "yes","3","3.50"

-- nth_value_and_ntile
-- source: functions/window.html
SELECT id, nth_value(id, 2) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS second, ntile(2) OVER (ORDER BY id) AS half FROM sales WHERE product = 'tea' ORDER BY id
--> "1","3","1"
--> "3","3","1"
--> "5","3","2"
--> "8","3","2"

-- lag_that_skips_nulls
-- source: functions/window.html
SELECT at, value, lag(value) IGNORE NULLS OVER (ORDER BY at) AS before, first_value(value) IGNORE NULLS OVER (ORDER BY at ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next FROM readings WHERE sensor = 'a' ORDER BY at
--> "2026-11-01 00:00:00.000","1.0",,"1.0"
--> "2026-11-02 00:00:00.000",,"1.0","3.0"
--> "2026-11-04 00:00:00.000","3.0","1.0","3.0"
--> "2026-11-09 00:00:00.000","6.0","3.0","6.0"

-- a_moving_mean_over_a_range_of_time
-- source: functions/window.html
SELECT sensor, at, avg(value) OVER (PARTITION BY sensor ORDER BY at RANGE BETWEEN INTERVAL '3' DAY PRECEDING AND CURRENT ROW) AS mean, count(value) OVER (PARTITION BY sensor ORDER BY at RANGE BETWEEN INTERVAL '72' HOUR PRECEDING AND INTERVAL '1' DAY FOLLOWING) AS n FROM readings WHERE sensor = 'a' ORDER BY at
--> "a","2026-11-01 00:00:00.000","1.0","1"
--> "a","2026-11-02 00:00:00.000","1.0","1"
--> "a","2026-11-04 00:00:00.000","2.0","2"
--> "a","2026-11-09 00:00:00.000","6.0","1"

-- a_range_of_months
-- source: functions/window.html
SELECT m, sum(x) OVER (ORDER BY m RANGE BETWEEN INTERVAL '2' MONTH PRECEDING AND CURRENT ROW) AS quarter FROM (VALUES (DATE '2026-01-01', 1), (DATE '2026-02-01', 2), (DATE '2026-04-01', 4), (DATE '2026-05-01', 8)) AS t (m, x) ORDER BY m
--> "2026-01-01","1"
--> "2026-02-01","3"
--> "2026-04-01","6"
--> "2026-05-01","12"

-- gaps_and_islands_of_a_status
SELECT status, min(day) AS starts, max(day) AS ends FROM (SELECT day, status, row_number() OVER (ORDER BY day) - row_number() OVER (PARTITION BY status ORDER BY day) AS island FROM (VALUES (1, 'up'), (2, 'up'), (3, 'down'), (4, 'up')) AS t (day, status)) GROUP BY status, island ORDER BY starts
--> "up","1","2"
--> "down","3","3"
--> "up","4","4"

-- time_between_steps_by_lead
SELECT user_id, step, date_diff('second', at, lead(at) OVER (PARTITION BY user_id ORDER BY at)) AS seconds FROM (VALUES (1, 'a', TIMESTAMP '2026-11-09 10:00:00.000'), (1, 'b', TIMESTAMP '2026-11-09 10:01:30.000'), (2, 'a', TIMESTAMP '2026-11-09 10:00:00.000')) AS t (user_id, step, at) ORDER BY 1, 2
--> "1","a","90"
--> "1","b",
--> "2","a",

-- intervals_are_summed_and_compared
SELECT sum(z - a) AS took, max(z - a) > INTERVAL '1' HOUR AS long, to_milliseconds(max(z - a)) AS ms FROM (VALUES (TIMESTAMP '2026-11-09 10:00:00.000', TIMESTAMP '2026-11-09 10:30:00.000'), (TIMESTAMP '2026-11-09 12:00:00.000', TIMESTAMP '2026-11-09 14:00:00.000')) AS t (a, z)
--> "0 02:30:00.000","true","7200000"

-- parts_of_an_interval
-- source: functions/datetime.html
SELECT day(z - a), hour(z - a), minute(z - a), extract(second FROM z - a) FROM (VALUES (TIMESTAMP '2026-11-09 10:00:00.000', TIMESTAMP '2026-11-11 11:02:03.000')) AS t (a, z)
--> "2","1","2","3"

-- zones_of_columns
-- source: functions/datetime.html
SELECT city, at_timezone(TIMESTAMP '2026-11-15 00:00:00 UTC', zone) AS at, timezone_hour(at_timezone(TIMESTAMP '2026-11-15 00:00:00 UTC', zone)) AS h FROM (VALUES ('Tokyo', 'Asia/Tokyo'), ('Berlin', 'Europe/Berlin')) AS t (city, zone) ORDER BY city
--> "Berlin","2026-11-15 01:00:00.000 Europe/Berlin","1"
--> "Tokyo","2026-11-15 09:00:00.000 Asia/Tokyo","9"

-- a_zone_is_set_and_changed
-- source: functions/datetime.html
SELECT with_timezone(CAST(dt AS timestamp), 'America/New_York') AT TIME ZONE 'UTC' AS starts FROM visits WHERE user_id = 'u3'
--> "2026-11-14 05:00:00.000 UTC"

-- a_partition_as_a_time_in_a_zone
-- source: functions/datetime.html
SELECT dt, date_format(date_parse(dt, '%Y-%m-%d') + INTERVAL '9' HOUR, '%d.%m.%Y %H:%i') AS a, to_unixtime(CAST(dt AS date)) AS s FROM visits GROUP BY dt ORDER BY dt LIMIT 1
--> "2026-11-13","13.11.2026 09:00","1.794528E9"

-- time_literals
-- here: NOT_SUPPORTED
-- source: functions/datetime.html
SELECT CAST(TIMESTAMP '2026-11-15 10:11:12.345' AS time) > TIME '10:00:00', hour(TIME '10:11:12'), date_diff('minute', TIME '10:00:00', TIME '11:30:00')
--> "true","10","90"

-- digits_of_a_phone_number_run
-- source: functions/regexp.html
SELECT regexp_replace('+81 (75) 123-45', '[^0-9]', ''), regexp_replace('a1b2', '([a-z])(\d)', '$2$1'), regexp_extract('id=42;x', 'id=(\d+)', 1), regexp_like('a' || chr(10) || 'b', 'a.b')
--> "817512345","1a2b","42","false"

-- looking_around
-- source: functions/regexp.html
SELECT regexp_extract('price: 42 EUR', '(?<=price: )\d+'), regexp_extract('price: 42 EUR', '\d+(?= EUR)'), regexp_like('foobar', '^(?!foo)'), regexp_replace('aa bb', '(\w)\1', 'x')
--> "42","42","false","x x"

-- lazy_and_optional_groups
-- source: functions/regexp.html
SELECT regexp_extract('<a><b>', '<(.+?)>', 1), regexp_extract('v1.2', 'v(\d+)(?:\.(\d+))?', 2), regexp_extract('v1', 'v(\d+)(?:\.(\d+))?', 2), regexp_extract_all('k1=v1&k2=v2', '(\w+)=(\w+)', 1)
--> "a","2",,"[k1, k2]"

-- hosts_without_www
-- source: functions/regexp.html
SELECT regexp_replace(lower(h), '^www\.'), regexp_extract('https://www.example.com/a?b', '^https?://([^/?#]+)', 1), regexp_extract('/a/b/c.html', '([^/]+)$'), regexp_extract('/a/b/c.html', '\.(\w+)$', 1) FROM (VALUES 'WWW.Example.com') AS t (h)
--> "example.com","www.example.com","c.html","html"

-- query_parameters_as_a_map
-- source: functions/string.html
SELECT split_to_map(url_extract_query(url), '&', '=')['ref'] AS ref FROM visits WHERE url LIKE '%ref=mail%'
--> "mail"

-- json_of_a_payload_by_path
-- source: functions/json.html
WITH e (payload) AS (VALUES '{"user":{"id":7,"tags":["a","b"]},"items":[{"p":1.5,"q":2},{"p":2.0,"q":1}],"ok":true}')
SELECT json_extract_scalar(payload, '$.user.id') AS id, json_array_length(json_extract(payload, '$.user.tags')) AS n, CAST(json_extract(payload, '$.ok') AS boolean) AS ok, CAST(json_extract(payload, '$.items[0].p') AS double) AS p, json_format(json_extract(payload, '$.user.tags')) AS tags, CAST(json_extract(payload, '$.missing') AS varchar) AS missing
FROM e
--> "7","2","true","1.5","[""a"",""b""]",

-- json_items_as_rows
-- source: functions/json.html
WITH e (payload) AS (VALUES '{"items":[{"p":1.5,"q":2},{"p":2.0,"q":1}]}')
SELECT reduce(CAST(json_extract(payload, '$.items') AS array(row(p double, q integer))), 0e0, (s, x) -> s + x.p * x.q, s -> s) AS amount,
       transform(CAST(json_extract(payload, '$.items') AS array(row(p double, q integer))), x -> x.q) AS q
FROM e
--> "5.0","[2, 1]"

-- json_of_a_group
-- source: functions/json.html
SELECT json_format(CAST(map_agg(product, n) AS json)) AS j FROM (SELECT product, count(*) AS n FROM sales WHERE country = 'US' GROUP BY product)
--> "{""cake"":1,""coffee"":1,""tea"":1}"

-- json_with_functions_of_the_standard
-- here: NOT_SUPPORTED
-- source: functions/json.html
SELECT json_value('{"a":{"b":"x"}}', 'lax $.a.b'), json_exists('{"a":1}', 'lax $.a'), json_query('{"a":[1,2]}', 'lax $.a'), json_value('{"a":7}', 'lax $.a' RETURNING bigint)
--> "x","true","[1,2]","7"

-- buckets_of_a_hash
-- source: functions/binary.html
SELECT abs(from_big_endian_64(xxhash64(to_utf8('a')))) % 1 AS bucket, crc32(to_utf8('a')) AS crc, to_hex(sha512(to_utf8('a'))) LIKE '1F40FC92%' AS sha
--> "0","3904355907","true"

-- masked_texts
SELECT to_hex(sha256(to_utf8(lower(trim(' A@B.c '))))) = to_hex(sha256(to_utf8('a@b.c'))) AS same, regexp_replace('ann@example.com', '^(.).*@', '$1***@') AS masked, substr('4111111111111111', -4) AS last_four
--> "true","a***@example.com","1111"

-- bytes_print_as_hexadecimal
-- source: language/types.html
SELECT to_utf8('ab'), X'0A0B', from_hex('FF')
--> "61 62","0a 0b","ff"

-- bytes_in_a_unit
SELECT round(sum(b) / 1024.0 / 1024.0, 2) AS mib, CAST(sum(b) AS double) / power(1024, 2) AS m, sum(b) / 1048576 AS whole FROM (VALUES BIGINT '1048576', BIGINT '524288') AS t (b)
--> "1.5","1.5","1"

-- percentages_as_texts
SELECT format('%.1f%%', 100e0 * 3 / 7), CAST(round(DECIMAL '42.857', 1) AS varchar), CAST(CAST(42.857e0 AS decimal(5,1)) AS varchar) || '%'
--> "42.9%","42.900","42.9%"

-- money_of_decimals
SELECT CAST(123.456e0 AS decimal(10,2)), DECIMAL '0.10' * 3, CAST('1234.5' AS decimal(12,2)) / 7, sum(price * DECIMAL '1.19'), CAST(sum(price) * DECIMAL '1.19' AS decimal(12,2)) FROM sales WHERE product = 'coffee'
--> "123.46","0.30","176.36","15.1725","15.17"

-- decimals_and_doubles_meet
SELECT price * 1.1 > 4, typeof(price * 2), typeof(price * 1.5e0), typeof(price / 3), typeof(sum(price)), typeof(avg(price)) FROM sales WHERE id = 2 GROUP BY price
--> "true","decimal(20,2)","double","decimal(10,2)","decimal(38,2)","decimal(10,2)"

-- modulo_and_signs
SELECT mod(10, 3), 10 % -3, -10 % 3, 5.5e0 % 2, DECIMAL '5.5' % DECIMAL '2', - -3, +4, 2 - -2
--> "1","1","-1","1.5","1.5","3","4","4"

-- precedence_of_operators
SELECT 2 + 3 * 4 - 1, NOT 1 = 2, 1 + 2 || '' IS NULL
--! TYPE_MISMATCH or FUNCTION_NOT_FOUND

-- precedence_of_and_or
SELECT true OR false AND false, NOT true OR true, 1 < 2 AND 2 < 3, 10 - 4 - 3, 100 / 10 / 5, 2 * 3 % 4
--> "true","true","true","3","2","2"

-- nan_in_an_order
SELECT value FROM readings WHERE sensor = 'b' ORDER BY value DESC NULLS LAST
--> "NaN"
--> "-2.5"
-->

-- nested_lambdas
-- source: functions/lambda.html
SELECT transform(ARRAY[ARRAY[1, 2], ARRAY[3]], a -> transform(a, x -> x + cardinality(a))), filter(ARRAY[1, 2, 3, 4], x -> contains(ARRAY[2, 4], x)), transform(tags, t -> t || '-' || product), cardinality(filter(tags, t -> t IS NULL)) FROM sales WHERE id = 6
--> "[[3, 4], [4]]","[2, 4]","[sweet-cake, null]","1"

-- the_mean_of_an_array
-- source: functions/lambda.html
SELECT reduce(ARRAY[1e0, 2e0, 6e0], CAST(ROW(0e0, 0) AS row(s double, n integer)), (t, x) -> CAST(ROW(t.s + x, t.n + 1) AS row(s double, n integer)), t -> IF(t.n = 0, NULL, t.s / t.n)) AS mean
--> "3.0"

-- maps_by_lambdas
-- source: functions/map.html
SELECT map_filter(m, (k, v) -> v > 1), transform_keys(m, (k, v) -> upper(k)), map_zip_with(m, MAP(ARRAY['a'], ARRAY[10]), (k, x, y) -> x + coalesce(y, 0)), array_sort(map_values(m)) FROM (VALUES MAP(ARRAY['a', 'b'], ARRAY[1, 2])) AS t (m)
--> "{b=2}","{A=1, B=2}","{a=11, b=2}","[1, 2]"

-- maps_in_order_of_values
-- source: functions/array.html
SELECT array_sort(map_entries(MAP(ARRAY['a', 'b'], ARRAY[1, 2])), (x, y) -> IF(x[2] < y[2], 1, IF(x[2] = y[2], 0, -1)))[1][1]
--> "b"

-- arrays_are_compared
-- source: functions/array.html
SELECT ARRAY[1, 2] = ARRAY[1, 2], ARRAY[1, 2] < ARRAY[1, 3], contains_sequence(ARRAY[1, 2, 3], ARRAY[2, 3]), array_join(ARRAY[1, NULL, 3], ','), zip(ARRAY[1], ARRAY['a']), ngrams(ARRAY['a', 'b', 'c'], 2)
--> "true","true","true","1,3","[{field0=1, field1=a}]","[[a, b], [b, c]]"

-- sets_of_tags
SELECT a.id, b.id, cardinality(array_intersect(a.tags, b.tags)) AS common FROM sales a JOIN sales b ON a.id < b.id AND arrays_overlap(a.tags, b.tags) WHERE a.id = 1 ORDER BY b.id
--> "1","2","1"
--> "1","5","1"
--> "1","7","1"
--> "1","8","1"

-- pairs_bought_by_a_customer
SELECT a.product AS p, b.product AS q, count(DISTINCT a.customer.id) AS customers FROM sales a JOIN sales b ON a.customer.id = b.customer.id AND a.product < b.product GROUP BY 1, 2 ORDER BY 1, 2
--> "cake","coffee","1"
--> "cake","tea","1"
--> "coffee","tea","3"

-- anti_join
SELECT s.id FROM sales s LEFT JOIN (SELECT DISTINCT customer.id AS id FROM sales WHERE product = 'tea') t ON t.id = s.customer.id WHERE t.id IS NULL ORDER BY s.id
--> "6"
--> "10"

-- unions_inside_with
WITH all_events AS (SELECT dt AS day, user_id AS who FROM visits UNION ALL SELECT CAST(sold_on AS varchar), 'u' || CAST(customer.id AS varchar) FROM sales)
SELECT day, count(DISTINCT who) AS n FROM all_events WHERE day >= '2026-11-14' GROUP BY day ORDER BY day
--> "2026-11-14","2"
--> "2026-11-15","2"

-- two_levels_of_windows
SELECT country, first_value(product) OVER (PARTITION BY country ORDER BY n DESC, product) AS top, n FROM (SELECT country, product, count(*) AS n FROM sales WHERE country = 'JP' GROUP BY 1, 2) ORDER BY n DESC, product
--> "JP","tea","2"
--> "JP","tea","1"
--> "JP","tea","1"

-- counts_over_distinct_rows
SELECT DISTINCT country, count(*) OVER (PARTITION BY country) AS n FROM sales ORDER BY n DESC, country
--> "JP","4"
--> "US","3"
--> "DE","2"
--> ,"1"

-- a_threshold_by_count_over
SELECT id FROM (SELECT id, count(*) OVER (PARTITION BY product, country) AS n FROM sales) WHERE n > 1 ORDER BY id
--> "1"
--> "5"

-- random_values_have_their_range
SELECT length(CAST(uuid() AS varchar)), rand() < 1, random(10) BETWEEN 0 AND 9
--> "36","true","true"

-- char_is_padded
SELECT CAST('a' AS char(3)) = 'a', length(CAST('a' AS char(3))), CAST('abc' AS char(2)) || '|'
--> "true","3","ab|"

-- reals_have_seven_digits
SELECT CAST(1.5e0 AS real), CAST(0.1e0 AS real), REAL '3.14', CAST(16777216 AS real)
--> "1.5","0.1","3.14","1.6777216E7"

-- texts_beyond_latin
SELECT length('日本🍵'), substr('日本茶', 2, 1), reverse('日本'), 'é' = 'é', lower('ÀÉ'), strpos('日本茶', '茶')
--> "3","本","本日","true","àé","3"

-- quotes_inside_texts
SELECT 'it''s', 'say "hi"', 'a' || chr(9) || 'b', '', ' '
--> "it's","say ""hi""","a	b",""," "

-- cross_tab_with_totals
SELECT coalesce(product, 'total') AS p, count_if(country = 'JP') AS jp, count_if(country = 'US') AS us, count(*) AS n FROM sales GROUP BY GROUPING SETS ((product), ()) ORDER BY grouping(product), p
--> "cake","1","1","3"
--> "coffee","1","1","3"
--> "tea","2","1","4"
--> "total","4","3","10"

-- first_and_last_of_a_day
SELECT dt, min_by(url, ms) AS fastest, max_by(user_id, ms) AS slowest_user, count(user_id) AS known FROM visits GROUP BY dt ORDER BY dt
--> "2026-11-13","https://example.com/shop/cake","u1","2"
--> "2026-11-14","https://example.com/shop/tea?ref=ad","u1","3"
--> "2026-11-15","/relative/path","u2","1"

-- outliers_by_a_standard_deviation
WITH s AS (SELECT avg(x) AS m, stddev(x) AS d FROM (VALUES 1e0, 1e0, 1e0, 1e0, 11e0) AS t (x))
SELECT x FROM (VALUES 1e0, 11e0) AS t (x) CROSS JOIN s WHERE abs(x - m) > 1.5 * d
--> "11.0"
