-- Window functions and frames.
-- source: functions/window.html

-- moving_sum_of_seven_days
-- source: sql/select.html#window-clause
SELECT sold_on, sum(quantity * price) OVER (ORDER BY sold_on RANGE BETWEEN INTERVAL '6' DAY PRECEDING AND CURRENT ROW) AS week FROM sales ORDER BY sold_on
--> "2026-11-01","7.00"
--> "2026-11-02","11.00"
--> "2026-11-03","28.50"
--> "2026-11-05","41.25"
--> "2026-11-08","49.25"
--> "2026-11-09","55.25"
--> "2026-11-10","46.75"
--> "2026-11-12","34.00"
--> "2026-11-14","62.50"
--> "2026-11-15","67.50"

-- moving_average_of_seven_days
-- source: sql/select.html#window-clause
SELECT sold_on, round(avg(CAST(quantity AS double)) OVER (ORDER BY sold_on RANGE BETWEEN INTERVAL '6' DAY PRECEDING AND CURRENT ROW), 2) AS average FROM sales WHERE sold_on < DATE '2026-11-10' ORDER BY sold_on
--> "2026-11-01","2.0"
--> "2026-11-02","1.5"
--> "2026-11-03","2.67"
--> "2026-11-05","2.75"
--> "2026-11-08","3.25"
--> "2026-11-09","3.25"

-- moving_average_of_timestamps_by_partition
-- source: sql/select.html#window-clause
SELECT sensor, at, avg(value) OVER (PARTITION BY sensor ORDER BY at RANGE BETWEEN INTERVAL '6' DAY PRECEDING AND CURRENT ROW) AS average FROM readings WHERE sensor = 'a' ORDER BY at
--> "a","2026-11-01 00:00:00.000","1.0"
--> "a","2026-11-02 00:00:00.000","1.0"
--> "a","2026-11-04 00:00:00.000","2.0"
--> "a","2026-11-09 00:00:00.000","4.5"

-- a_range_of_hours
-- source: sql/select.html#window-clause
SELECT id, count(*) OVER (ORDER BY sold_at RANGE BETWEEN INTERVAL '24' HOUR PRECEDING AND CURRENT ROW) AS n FROM sales WHERE id < 5 ORDER BY id
--> "1","1"
--> "2","1"
--> "3","1"
--> "4","1"

-- a_range_of_days_on_both_sides
-- source: sql/select.html#window-clause
SELECT id, count(*) OVER (ORDER BY sold_on RANGE BETWEEN INTERVAL '1' DAY PRECEDING AND INTERVAL '1' DAY FOLLOWING) AS n FROM sales ORDER BY id
--> "1","2"
--> "2","3"
--> "3","2"
--> "4","1"
--> "5","2"
--> "6","3"
--> "7","2"
--> "8","1"
--> "9","2"
--> "10","2"

-- a_range_of_a_month
-- source: sql/select.html#window-clause
SELECT d, sum(x) OVER (ORDER BY d RANGE BETWEEN INTERVAL '1' MONTH PRECEDING AND CURRENT ROW) FROM (VALUES (DATE '2026-01-31', 1), (DATE '2026-02-28', 2), (DATE '2026-03-31', 4)) AS t (d, x) ORDER BY d
--> "2026-01-31","1"
--> "2026-02-28","3"
--> "2026-03-31","6"

-- a_range_of_numbers
-- source: sql/select.html#window-clause
SELECT x, sum(x) OVER (ORDER BY x RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM (VALUES 1, 2, 4, 5, 9) AS t (x) ORDER BY x
--> "1","3"
--> "2","3"
--> "4","9"
--> "5","9"
--> "9","9"

-- the_default_frame_takes_peers
SELECT x, y, sum(y) OVER (ORDER BY x) FROM (VALUES (1, 10), (1, 20), (2, 30)) AS t (x, y) ORDER BY x, y
--> "1","10","30"
--> "1","20","30"
--> "2","30","60"

-- rows_do_not_take_peers
SELECT id, sum(quantity) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS s FROM sales ORDER BY id LIMIT 5
--> "1","2"
--> "2","3"
--> "3","8"
--> "4","9"
--> "5","12"

-- rows_that_follow
SELECT id, max(id) OVER (ORDER BY id ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING) AS m FROM sales WHERE id < 5 ORDER BY id
--> "1","3"
--> "2","4"
--> "3","4"
--> "4",

-- frames_of_groups
-- source: sql/select.html#window-clause
SELECT x, count(*) OVER (ORDER BY x GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES 1, 1, 3, 5) AS t (x) ORDER BY x
--> "1","2"
--> "1","2"
--> "3","3"
--> "5","2"

-- last_value_ignoring_nulls
SELECT at, last_value(value) IGNORE NULLS OVER (ORDER BY at) AS filled FROM readings WHERE sensor = 'a' ORDER BY at
--> "2026-11-01 00:00:00.000","1.0"
--> "2026-11-02 00:00:00.000","1.0"
--> "2026-11-04 00:00:00.000","3.0"
--> "2026-11-09 00:00:00.000","6.0"

-- values_ignoring_nulls
SELECT n, first_value(x) IGNORE NULLS OVER (ORDER BY n ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next, lag(x) IGNORE NULLS OVER (ORDER BY n) AS before, lead(x) IGNORE NULLS OVER (ORDER BY n) AS after FROM (VALUES (1, 'a'), (2, NULL), (3, NULL), (4, 'd')) AS t (n, x) ORDER BY n
--> "1","a",,"d"
--> "2","d","a","d"
--> "3","d","a","d"
--> "4","d","a",

-- lag_ignoring_nulls_with_an_offset
SELECT n, lag(x, 2) IGNORE NULLS OVER (ORDER BY n) AS before, lag(x, 1, 'none') IGNORE NULLS OVER (ORDER BY n) AS one FROM (VALUES (1, NULL), (2, 'b'), (3, NULL), (4, 'd'), (5, 'e')) AS t (n, x) ORDER BY n
--> "1",,"none"
--> "2",,"none"
--> "3",,"b"
--> "4",,"b"
--> "5","b","d"

-- respect_nulls_is_the_default
SELECT n, last_value(x) RESPECT NULLS OVER (ORDER BY n) AS a, last_value(x) OVER (ORDER BY n) AS b FROM (VALUES (1, 'a'), (2, NULL)) AS t (n, x) ORDER BY n
--> "1","a","a"
--> "2",,

-- nth_value
SELECT x, nth_value(x, 2) OVER (ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS second, nth_value(x, 9) OVER (ORDER BY x) AS none FROM (VALUES 10, 20, 30) AS t (x) ORDER BY x
--> "10","20",
--> "20","20",
--> "30","20",

-- nth_value_of_a_growing_frame
SELECT x, nth_value(x, 2) OVER (ORDER BY x) FROM (VALUES 10, 20, 30) AS t (x) ORDER BY x
--> "10",
--> "20","20"
--> "30","20"

-- nth_value_ignoring_nulls
SELECT n, nth_value(x, 2) IGNORE NULLS OVER (ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM (VALUES (1, NULL), (2, 'b'), (3, 'c')) AS t (n, x) ORDER BY n
--> "1","c"
--> "2","c"
--> "3","c"

-- ntile
SELECT x, ntile(4) OVER (ORDER BY x) FROM (VALUES 1, 2, 3, 4, 5, 6) AS t (x) ORDER BY x
--> "1","1"
--> "2","1"
--> "3","2"
--> "4","2"
--> "5","3"
--> "6","4"

-- ntile_of_more_buckets_than_rows
SELECT x, ntile(5) OVER (ORDER BY x DESC) FROM (VALUES 1, 2) AS t (x) ORDER BY x
--> "1","2"
--> "2","1"

-- ranks
SELECT x, rank() OVER (ORDER BY x) AS r, dense_rank() OVER (ORDER BY x) AS d, percent_rank() OVER (ORDER BY x) AS p, cume_dist() OVER (ORDER BY x) AS c FROM (VALUES 10, 20, 20, 30, 40) AS t (x) ORDER BY x
--> "10","1","1","0.0","0.2"
--> "20","2","2","0.25","0.6"
--> "20","2","2","0.25","0.6"
--> "30","4","3","0.75","0.8"
--> "40","5","4","1.0","1.0"

-- the_best_of_each_group
SELECT product, id, amount FROM (SELECT product, id, quantity * price AS amount, row_number() OVER (PARTITION BY product ORDER BY quantity * price DESC NULLS LAST) AS n FROM sales) WHERE n = 1 ORDER BY product
--> "cake","9","28.50"
--> "coffee","4","12.75"
--> "tea","3","17.50"

-- lag_and_lead
SELECT id, lag(id) OVER (ORDER BY id) AS a, lead(id) OVER (ORDER BY id) AS b, lag(id, 2, 0) OVER (ORDER BY id) AS c, lead(id, 0) OVER (ORDER BY id) AS d FROM sales WHERE id < 4 ORDER BY id
--> "1",,"2","0","1"
--> "2","1","3","0","2"
--> "3","2",,"1","3"

-- change_from_the_week_before
SELECT week, amount, amount - lag(amount) OVER (ORDER BY week) AS change FROM (SELECT date_trunc('week', sold_on) AS week, sum(quantity * price) AS amount FROM sales GROUP BY 1) ORDER BY week
--> "2026-10-26","7.00",
--> "2026-11-02","49.25","42.25"
--> "2026-11-09","67.50","18.25"

-- shares_of_the_whole
SELECT product, round(100e0 * sum(quantity) / sum(sum(quantity)) OVER (), 1) AS share FROM sales GROUP BY product ORDER BY share DESC, product
--> "tea","47.8"
--> "cake","26.1"
--> "coffee","26.1"

-- running_totals_by_partition
SELECT country, id, sum(quantity) OVER (PARTITION BY country ORDER BY id) AS total FROM sales WHERE country IN ('JP', 'US') ORDER BY country, id
--> "JP","1","2"
--> "JP","2","3"
--> "JP","5","7"
--> "JP","9","10"
--> "US","3","5"
--> "US","4","8"
--> "US","10","10"

-- first_and_last_of_a_partition
SELECT DISTINCT product, first_value(id) OVER (PARTITION BY product ORDER BY id) AS first, last_value(id) OVER (PARTITION BY product ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS last FROM sales ORDER BY product
--> "cake","6","10"
--> "coffee","2","7"
--> "tea","1","8"

-- a_named_window
-- source: sql/select.html#window-clause
SELECT id, sum(quantity) OVER w AS s, count(*) OVER w AS n FROM sales WHERE id < 4 WINDOW w AS (ORDER BY id) ORDER BY id
--> "1","2","1"
--> "2","3","2"
--> "3","8","3"

-- a_named_window_refined
-- source: sql/select.html#window-clause
SELECT id, row_number() OVER (w ORDER BY id DESC) AS n FROM sales WHERE product = 'cake' WINDOW w AS (PARTITION BY product) ORDER BY id
--> "6","3"
--> "9","2"
--> "10","1"

-- nulls_are_peers
SELECT country, rank() OVER (ORDER BY country) AS r, count(*) OVER (PARTITION BY country) AS n FROM sales WHERE id IN (1, 6, 7) ORDER BY r
--> "DE","1","1"
--> "JP","2","1"
--> ,"3","1"

-- an_array_of_a_frame
SELECT id, array_agg(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM sales WHERE id < 4 ORDER BY id
--> "1","[1]"
--> "2","[1, 2]"
--> "3","[2, 3]"

-- a_frame_without_rows
SELECT id, sum(id) OVER (ORDER BY id ROWS BETWEEN 5 PRECEDING AND 4 PRECEDING) AS s, count(*) OVER (ORDER BY id ROWS BETWEEN 5 PRECEDING AND 4 PRECEDING) AS n FROM sales WHERE id IN (1, 2) ORDER BY id
--> "1",,"0"
--> "2",,"0"

-- sessions_by_gaps
SELECT id, sum(is_new) OVER (ORDER BY sold_on) AS session FROM (SELECT id, sold_on, if(date_diff('day', lag(sold_on) OVER (ORDER BY sold_on), sold_on) <= 1, 0, 1) AS is_new FROM sales) ORDER BY id
--> "1","1"
--> "2","1"
--> "3","1"
--> "4","2"
--> "5","3"
--> "6","3"
--> "7","3"
--> "8","4"
--> "9","5"
--> "10","5"

-- lag_by_a_negative_offset
SELECT lag(id, -1) OVER (ORDER BY id) FROM sales
--! INVALID_FUNCTION_ARGUMENT

-- lead_by_a_negative_offset
SELECT lead(id, -2) OVER (ORDER BY id) FROM sales
--! INVALID_FUNCTION_ARGUMENT

-- nth_value_from_zero
SELECT nth_value(id, 0) OVER (ORDER BY id) FROM sales
--! INVALID_FUNCTION_ARGUMENT

-- ntile_of_no_buckets
SELECT ntile(0) OVER (ORDER BY id) FROM sales
--! INVALID_FUNCTION_ARGUMENT

-- lag_without_an_order
SELECT lag(id) OVER () FROM sales
--! MISSING_ORDER_BY

-- rank_with_a_frame
SELECT rank() OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM sales
--! INVALID_WINDOW_FRAME

-- a_window_in_where
SELECT id FROM sales WHERE row_number() OVER (ORDER BY id) = 1
--! EXPRESSION_NOT_SCALAR

-- a_window_in_a_window
SELECT sum(row_number() OVER (ORDER BY id)) OVER (ORDER BY id) FROM sales
--! NESTED_WINDOW

-- a_frame_that_ends_before_it_begins
SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN CURRENT ROW AND 1 PRECEDING) FROM sales
--! INVALID_WINDOW_FRAME

-- a_range_of_two_columns
SELECT sum(id) OVER (ORDER BY id, sold_on RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM sales
--! INVALID_ORDER_BY

-- a_range_without_an_order
SELECT sum(id) OVER (RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM sales
--! MISSING_ORDER_BY

-- a_range_of_another_type
SELECT sum(id) OVER (ORDER BY sold_on RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM sales
--! TYPE_MISMATCH
