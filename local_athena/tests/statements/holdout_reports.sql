-- Shapes of weekly reports: rankings, cohorts, funnels, sessions, moving figures, pivots, calendars.
-- source: sql/select.html

-- top_product_of_each_country
SELECT country, product, amount FROM (
  SELECT country, product, sum(quantity * price) AS amount,
         row_number() OVER (PARTITION BY country ORDER BY sum(quantity * price) DESC NULLS LAST) AS rn
  FROM sales WHERE country IS NOT NULL GROUP BY country, product
) WHERE rn = 1 ORDER BY country
--> "DE","coffee","9.00"
--> "JP","cake","28.50"
--> "US","cake","20.00"

-- rank_and_dense_rank_and_percent_rank
SELECT name, score, rank() OVER (ORDER BY score DESC) AS r, dense_rank() OVER (ORDER BY score DESC) AS d,
       percent_rank() OVER (ORDER BY score DESC) AS p, cume_dist() OVER (ORDER BY score DESC) AS c
FROM (VALUES ('a', 10), ('b', 10), ('c', 7), ('d', 5)) AS t (name, score) ORDER BY r, name
--> "a","10","1","1","0.0","0.5"
--> "b","10","1","1","0.0","0.5"
--> "c","7","3","2","0.6666666666666666","0.75"
--> "d","5","4","3","1.0","1.0"

-- share_of_the_total_with_null_group
SELECT coalesce(country, 'unknown') AS country, sum(quantity * price) AS amount,
       round(100.0 * sum(quantity * price) / sum(sum(quantity * price)) OVER (), 1) AS percent
FROM sales GROUP BY country ORDER BY amount DESC
--> "JP","54.50","44.0"
--> "US","50.25","40.6"
--> "unknown","10.00","8.1"
--> "DE","9.00","7.3"

-- running_total_of_weeks
SELECT week, amount, sum(amount) OVER (ORDER BY week ROWS UNBOUNDED PRECEDING) AS so_far
FROM (SELECT date_trunc('week', sold_on) AS week, sum(quantity * price) AS amount FROM sales GROUP BY 1)
ORDER BY week
--> "2026-10-26","7.00","7.00"
--> "2026-11-02","49.25","56.25"
--> "2026-11-09","67.50","123.75"

-- week_over_week_in_percent
WITH weekly AS (SELECT date_trunc('week', sold_at) AS week, CAST(sum(quantity * price) AS double) AS amount FROM sales GROUP BY 1)
SELECT format_datetime(week, 'xxxx-''W''ww') AS week, amount,
       round((amount - lag(amount) OVER (ORDER BY week)) / lag(amount) OVER (ORDER BY week) * 100, 2) AS change
FROM weekly ORDER BY week
--> "2026-W44","7.0",
--> "2026-W45","49.25","603.57"
--> "2026-W46","67.5","37.06"

-- year_over_year_by_a_self_join
WITH monthly (month, amount) AS (VALUES (DATE '2025-10-01', 80), (DATE '2025-11-01', 100), (DATE '2026-10-01', 120), (DATE '2026-11-01', 90))
SELECT a.month, a.amount, b.amount AS a_year_before, a.amount - b.amount AS difference
FROM monthly a JOIN monthly b ON b.month = a.month - INTERVAL '1' YEAR ORDER BY a.month
--> "2026-10-01","120","80","40"
--> "2026-11-01","90","100","-10"

-- year_over_year_by_lag
WITH monthly AS (SELECT month, month(month) AS m, amount FROM (VALUES (DATE '2025-11-01', 100), (DATE '2026-11-01', 90), (DATE '2026-10-01', 3)) AS t (month, amount))
SELECT month, amount, lag(amount) OVER (PARTITION BY m ORDER BY month) AS before FROM monthly ORDER BY month
--> "2025-11-01","100",
--> "2026-10-01","3",
--> "2026-11-01","90","100"

-- retention_by_week_of_the_first_event
WITH events (user_id, day) AS (
  VALUES ('a', DATE '2026-10-26'), ('a', DATE '2026-11-03'), ('a', DATE '2026-11-09'), ('b', DATE '2026-10-27'), ('b', DATE '2026-11-10'),
         ('c', DATE '2026-11-04'), ('c', DATE '2026-11-05')),
firsts AS (SELECT user_id, date_trunc('week', min(day)) AS cohort FROM events GROUP BY user_id)
SELECT f.cohort, date_diff('week', f.cohort, date_trunc('week', e.day)) AS week, count(DISTINCT e.user_id) AS users
FROM events e JOIN firsts f ON e.user_id = f.user_id
GROUP BY 1, 2 ORDER BY 1, 2
--> "2026-10-26","0","2"
--> "2026-10-26","1","1"
--> "2026-10-26","2","2"
--> "2026-11-02","0","1"

-- retention_in_percent_of_the_cohort
WITH counts (cohort, week, users) AS (VALUES ('2026-W44', 0, 8), ('2026-W44', 1, 6), ('2026-W44', 2, 3), ('2026-W45', 0, 5), ('2026-W45', 1, 4))
SELECT cohort, week, users, round(CAST(users AS double) / first_value(users) OVER (PARTITION BY cohort ORDER BY week), 3) AS kept
FROM counts ORDER BY cohort, week
--> "2026-W44","0","8","1.0"
--> "2026-W44","1","6","0.75"
--> "2026-W44","2","3","0.375"
--> "2026-W45","0","5","1.0"
--> "2026-W45","1","4","0.8"

-- retention_as_a_table
WITH activity (user_id, cohort, week) AS (VALUES (1, 'A', 0), (1, 'A', 1), (2, 'A', 0), (3, 'B', 0), (3, 'B', 2))
SELECT cohort, count(DISTINCT CASE WHEN week = 0 THEN user_id END) AS w0, count(DISTINCT CASE WHEN week = 1 THEN user_id END) AS w1,
       count(DISTINCT user_id) FILTER (WHERE week = 2) AS w2
FROM activity GROUP BY cohort ORDER BY cohort
--> "A","2","1","0"
--> "B","1","0","1"

-- funnel_of_first_times
WITH events (user_id, name, at) AS (
  VALUES (1, 'view', TIMESTAMP '2026-11-09 10:00:00'), (1, 'cart', TIMESTAMP '2026-11-09 10:05:00'), (1, 'buy', TIMESTAMP '2026-11-09 10:20:00'),
         (2, 'view', TIMESTAMP '2026-11-09 11:00:00'), (2, 'buy', TIMESTAMP '2026-11-09 10:59:00'), (3, 'cart', TIMESTAMP '2026-11-09 12:00:00')),
steps AS (
  SELECT user_id, min(at) FILTER (WHERE name = 'view') AS viewed, min(at) FILTER (WHERE name = 'cart') AS carted, min(at) FILTER (WHERE name = 'buy') AS bought
  FROM events GROUP BY user_id)
SELECT count(viewed) AS views, count_if(carted > viewed) AS carts, count_if(bought > carted AND carted > viewed) AS buys,
       avg(date_diff('minute', viewed, bought)) FILTER (WHERE bought > viewed) AS minutes
FROM steps
--> "2","1","1","20.0"

-- funnel_by_union
WITH visits_of AS (SELECT user_id, json_extract_scalar(try(json_parse(event)), '$.type') AS type FROM visits)
SELECT 1 AS step, 'view' AS name, count(DISTINCT user_id) AS users FROM visits_of WHERE type = 'view'
UNION ALL
SELECT 2, 'buy', count(DISTINCT user_id) FROM visits_of WHERE type = 'buy'
ORDER BY step
--> "1","view","2"
--> "2","buy","2"

-- sessions_by_gaps_of_thirty_minutes
WITH clicks (user_id, at) AS (
  VALUES ('a', TIMESTAMP '2026-11-09 10:00:00'), ('a', TIMESTAMP '2026-11-09 10:20:00'), ('a', TIMESTAMP '2026-11-09 10:50:01'),
         ('a', TIMESTAMP '2026-11-09 12:00:00'), ('b', TIMESTAMP '2026-11-09 10:00:00')),
flagged AS (
  SELECT user_id, at, CASE WHEN date_diff('minute', lag(at) OVER (PARTITION BY user_id ORDER BY at), at) > 30 THEN 1 ELSE 0 END AS is_new FROM clicks),
numbered AS (SELECT *, sum(is_new) OVER (PARTITION BY user_id ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS session FROM flagged)
SELECT user_id, session, count(*) AS clicks, date_diff('second', min(at), max(at)) AS seconds
FROM numbered GROUP BY user_id, session ORDER BY 1, 2
--> "a","0","3","3001"
--> "a","1","1","0"
--> "b","0","1","0"

-- sessions_by_seconds
WITH clicks AS (SELECT * FROM (VALUES ('a', BIGINT '1000'), ('a', BIGINT '2000'), ('a', BIGINT '4000')) AS t (u, epoch))
SELECT u, epoch, IF(epoch - lag(epoch, 1, 0) OVER (PARTITION BY u ORDER BY epoch) >= 1800, 1, 0) AS starts,
       u || '-' || CAST(sum(IF(epoch % 4000 = 0, 1, 0)) OVER (PARTITION BY u ORDER BY epoch) AS varchar) AS id
FROM clicks ORDER BY epoch
--> "a","1000","0","a-0"
--> "a","2000","0","a-0"
--> "a","4000","1","a-1"

-- moving_average_of_three_rows
SELECT day, x, avg(x) OVER (ORDER BY day ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS mean
FROM (VALUES (1, 3), (2, 6), (3, 9), (4, 12)) AS t (day, x) ORDER BY day
--> "1","3","3.0"
--> "2","6","4.5"
--> "3","9","6.0"
--> "4","12","9.0"

-- moving_sum_of_seven_days_with_gaps
SELECT sold_on, sum(sum(quantity)) OVER (ORDER BY sold_on RANGE BETWEEN INTERVAL '6' DAY PRECEDING AND CURRENT ROW) AS seven_days
FROM sales GROUP BY sold_on ORDER BY sold_on
--> "2026-11-01","2"
--> "2026-11-02","3"
--> "2026-11-03","8"
--> "2026-11-05","11"
--> "2026-11-08","13"
--> "2026-11-09","13"
--> "2026-11-10","10"
--> "2026-11-12","7"
--> "2026-11-14","10"
--> "2026-11-15","8"

-- newest_row_of_each_key
WITH changes (id, status, changed_at) AS (
  VALUES (1, 'new', TIMESTAMP '2026-11-01 00:00:00'), (1, 'paid', TIMESTAMP '2026-11-03 00:00:00'), (2, 'new', TIMESTAMP '2026-11-02 00:00:00'))
SELECT id, status FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY changed_at DESC) AS rn FROM changes) t WHERE t.rn = 1 ORDER BY id
--> "1","paid"
--> "2","new"

-- newest_row_by_max_by
SELECT product, max_by(country, sold_at) AS newest, min_by(id, price) AS cheapest, max_by(id, sold_at, 2) AS newest_ids FROM sales GROUP BY product ORDER BY product
--> "cake","US","9","[10, 9]"
--> "coffee","DE","2","[7, 4]"
--> "tea","DE","8","[8, 5]"

-- pivot_by_case
SELECT country, sum(CASE WHEN product = 'tea' THEN quantity ELSE 0 END) AS tea, sum(CASE product WHEN 'coffee' THEN quantity END) AS coffee,
       sum(IF(product = 'cake', quantity)) AS cake
FROM sales GROUP BY country ORDER BY country NULLS FIRST
--> ,"0",,"1"
--> "DE","0","2",
--> "JP","6","1","3"
--> "US","5","3","2"

-- pivot_by_map_agg
WITH totals AS (SELECT country, product, count(*) AS n FROM sales GROUP BY 1, 2),
kv AS (SELECT country, map_agg(product, n) AS m FROM totals GROUP BY country)
SELECT country, coalesce(m['tea'], 0) AS tea, element_at(m, 'coffee') AS coffee, try(m['cake']) AS cake FROM kv WHERE country IN ('JP') ORDER BY 1
--> "JP","2","1","1"

-- pivot_by_filter
SELECT date_format(sold_at, '%x-%v') AS week, count(*) FILTER (WHERE product = 'tea') AS tea, sum(price) FILTER (WHERE product = 'cake') AS cake
FROM sales GROUP BY 1 ORDER BY 1
--> "2026-44","1",
--> "2026-45","2",
--> "2026-46","1","29.50"

-- unpivot_by_unnest
SELECT name, metric, value FROM (VALUES ('a', 1, 2), ('b', 3, NULL)) AS t (name, x, y)
CROSS JOIN UNNEST(ARRAY['x', 'y'], ARRAY[x, y]) AS u (metric, value) ORDER BY name, metric
--> "a","x","1"
--> "a","y","2"
--> "b","x","3"
--> "b","y",

-- days_without_sales_are_zero
SELECT d.day, coalesce(sum(s.quantity), 0) AS pieces
FROM UNNEST(sequence(DATE '2026-11-05', DATE '2026-11-09', INTERVAL '1' DAY)) AS d (day)
LEFT JOIN sales s ON s.sold_on = d.day GROUP BY d.day ORDER BY d.day
--> "2026-11-05","3"
--> "2026-11-06","0"
--> "2026-11-07","0"
--> "2026-11-08","4"
--> "2026-11-09","1"

-- months_by_sequence
SELECT month, last_day_of_month(month) AS ends FROM UNNEST(sequence(DATE '2025-12-31', DATE '2026-03-31', INTERVAL '1' MONTH)) AS t (month) ORDER BY 1
--> "2025-12-31","2025-12-31"
--> "2026-01-31","2026-01-31"
--> "2026-02-28","2026-02-28"
--> "2026-03-31","2026-03-31"

-- hours_by_sequence
SELECT count(*), min(h), max(h) FROM UNNEST(sequence(TIMESTAMP '2026-11-09 00:00:00.000', TIMESTAMP '2026-11-10 00:00:00.000' - INTERVAL '1' HOUR, INTERVAL '1' HOUR)) AS t (h)
--> "24","2026-11-09 00:00:00.000","2026-11-09 23:00:00.000"

-- last_week_by_the_clock
SELECT count(*), min(sold_on), max(sold_on) FROM sales
WHERE sold_at >= date_trunc('week', current_timestamp) - INTERVAL '7' DAY AND sold_at < date_trunc('week', current_timestamp)
--> "4","2026-11-02","2026-11-08"

-- last_week_by_dates
SELECT count(*) FROM sales WHERE sold_on BETWEEN date_add('day', -7, date_trunc('week', current_date)) AND date_add('day', -1, date_trunc('week', current_date))
--> "4"

-- partitions_of_the_last_days
SELECT dt, count(*) AS visits FROM visits WHERE dt >= date_format(current_date - interval '1' day, '%Y-%m-%d') GROUP BY dt ORDER BY dt
--> "2026-11-14","3"
--> "2026-11-15","2"

-- partitions_by_cast
SELECT dt, count(DISTINCT user_id) AS users FROM visits WHERE CAST(dt AS date) BETWEEN DATE '2026-11-13' AND DATE '2026-11-14' GROUP BY dt ORDER BY dt DESC
--> "2026-11-14","2"
--> "2026-11-13","2"

-- median_by_group
SELECT dt, approx_percentile(ms, 0.99) AS p99, max(ms) AS slowest, avg(ms) AS mean FROM visits GROUP BY dt ORDER BY dt
--> "2026-11-13","120","120","100.0"
--> "2026-11-14","200","200","147.5"
--> "2026-11-15","60","60","50.0"

-- percentiles_at_once
SELECT abs(p[1] - 51) <= 2, abs(p[2] - 91) <= 2, cardinality(p) FROM (SELECT approx_percentile(x, ARRAY[0.5, 0.9, 0.99]) AS p FROM UNNEST(sequence(1, 101)) AS t (x))
--> "true","true","3"

-- total_row_by_rollup
SELECT if(grouping(product) = 1, 'total', product) AS product, sum(quantity) AS pieces, grouping(product) AS g
FROM sales GROUP BY ROLLUP (product) ORDER BY g, product
--> "cake","6","0"
--> "coffee","6","0"
--> "tea","11","0"
--> "total","23","1"

-- grouping_sets_of_two_columns
SELECT country, product, count(*) AS n FROM sales WHERE country IN ('DE', 'JP') GROUP BY GROUPING SETS ((country, product), (country), ())
ORDER BY country NULLS LAST, product NULLS LAST
--> "DE","coffee","1"
--> "DE","tea","1"
--> "DE",,"2"
--> "JP","cake","1"
--> "JP","coffee","1"
--> "JP","tea","2"
--> "JP",,"4"
--> ,,"6"

-- cube_with_grouping
SELECT a, b, sum(x) AS x, grouping(a, b) AS g FROM (VALUES ('p', 'q', 1), ('p', 'r', 2)) AS t (a, b, x) GROUP BY CUBE (a, b) ORDER BY g, b
--> "p","q","1","0"
--> "p","r","2","0"
--> "p",,"3","1"
--> ,"q","1","2"
--> ,"r","2","2"
--> ,,"3","3"

-- new_and_returning_customers
SELECT date_trunc('week', sold_on) AS week, count_if(is_first) AS new, count_if(NOT is_first) AS returning
FROM (SELECT sold_on, sold_at = min(sold_at) OVER (PARTITION BY customer.id) AS is_first FROM sales WHERE customer IS NOT NULL)
GROUP BY 1 ORDER BY 1
--> "2026-10-26","1","0"
--> "2026-11-02","2","2"
--> "2026-11-09","2","2"

-- days_between_orders
SELECT customer.name AS name, sold_on, date_diff('day', lag(sold_on) OVER (PARTITION BY customer.id ORDER BY sold_on), sold_on) AS days
FROM sales WHERE customer.id IN (1, 2) ORDER BY customer.id, sold_on
--> "Aiko","2026-11-01",
--> "Aiko","2026-11-05","4"
--> "Aiko","2026-11-14","9"
--> "Ben","2026-11-02",
--> "Ben","2026-11-08","6"

-- carries_the_last_value_forward
SELECT sensor, at, last_value(value) IGNORE NULLS OVER (PARTITION BY sensor ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS value
FROM readings WHERE sensor = 'a' ORDER BY at
--> "a","2026-11-01 00:00:00.000","1.0"
--> "a","2026-11-02 00:00:00.000","1.0"
--> "a","2026-11-04 00:00:00.000","3.0"
--> "a","2026-11-09 00:00:00.000","6.0"

-- islands_of_consecutive_days
WITH days AS (SELECT DISTINCT sold_on FROM sales),
islands AS (SELECT sold_on, date_add('day', -row_number() OVER (ORDER BY sold_on), sold_on) AS island FROM days)
SELECT min(sold_on) AS starts, max(sold_on) AS ends, count(*) AS days FROM islands GROUP BY island HAVING count(*) > 1 ORDER BY 1
--> "2026-11-01","2026-11-03","3"
--> "2026-11-08","2026-11-10","3"
--> "2026-11-14","2026-11-15","2"

-- a_histogram_by_width_bucket
SELECT width_bucket(CAST(price AS double), 3, 11, 4) AS bucket, count(*) AS n FROM sales GROUP BY 1 ORDER BY 1
--> "1","7"
--> "4","3"

-- a_histogram_by_rounding_down
SELECT floor(price / 5) * 5 AS bucket, count(*) AS n FROM sales GROUP BY 1 ORDER BY 1
--> "0","7"
--> "5","1"
--> "10","2"

-- quartiles_by_ntile
SELECT quarter, min(id) AS a, max(id) AS z, count(*) AS n FROM (SELECT id, ntile(4) OVER (ORDER BY id) AS quarter FROM sales) GROUP BY quarter ORDER BY quarter
--> "1","1","3","3"
--> "2","4","6","3"
--> "3","7","8","2"
--> "4","9","10","2"

-- difference_of_two_weeks_by_full_join
WITH a AS (SELECT product, count(*) AS n FROM sales WHERE sold_on BETWEEN DATE '2026-11-02' AND DATE '2026-11-08' GROUP BY product),
b AS (SELECT product, count(*) AS n FROM sales WHERE sold_on >= DATE '2026-11-09' GROUP BY product)
SELECT coalesce(a.product, b.product) AS product, coalesce(b.n, 0) - coalesce(a.n, 0) AS difference FROM a FULL OUTER JOIN b ON a.product = b.product ORDER BY 1
--> "cake","3"
--> "coffee","-1"
--> "tea","-1"

-- names_of_weekdays
SELECT date_format(sold_at, '%W') AS day, format_datetime(sold_at, 'EEE') AS short, day_of_week(sold_on) AS n, count(*) AS sales
FROM sales WHERE id > 7 GROUP BY 1, 2, 3 ORDER BY n
--> "Thursday","Thu","4","1"
--> "Saturday","Sat","6","1"
--> "Sunday","Sun","7","1"
