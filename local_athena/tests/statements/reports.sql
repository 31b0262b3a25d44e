-- Statements as people write them for weekly and monthly reports.
-- source: arithmetic

-- visitors_by_day
SELECT dt, count(DISTINCT user_id) AS users, count(*) AS views FROM visits WHERE dt >= '2026-11-13' AND dt < '2026-11-15' GROUP BY dt ORDER BY dt
--# "dt","users","views"
--> "2026-11-13","2","2"
--> "2026-11-14","2","3"

-- ranking_of_users
SELECT user_id, count(*) AS views, rank() OVER (ORDER BY count(*) DESC) AS place FROM visits WHERE user_id IS NOT NULL GROUP BY user_id ORDER BY place, user_id
--> "u1","3","1"
--> "u2","2","2"
--> "u3","1","3"

-- change_from_week_to_week
WITH weekly AS (
  SELECT date_trunc('week', sold_on) AS week, sum(quantity * price) AS amount
  FROM sales
  GROUP BY date_trunc('week', sold_on)
)
SELECT week, amount, round(100e0 * (amount - lag(amount) OVER (ORDER BY week)) / lag(amount) OVER (ORDER BY week), 1) AS percent
FROM weekly
ORDER BY week
--> "2026-10-26","7.00",
--> "2026-11-02","49.25","603.6"
--> "2026-11-09","67.50","37.1"

-- a_pivot_by_case
SELECT
  coalesce(country, 'unknown') AS country,
  sum(CASE WHEN product = 'tea' THEN quantity ELSE 0 END) AS tea,
  sum(CASE WHEN product = 'coffee' THEN quantity ELSE 0 END) AS coffee,
  sum(CASE WHEN product = 'cake' THEN quantity ELSE 0 END) AS cake
FROM sales
GROUP BY 1
ORDER BY 1
--> "DE","0","2","0"
--> "JP","6","1","3"
--> "US","5","3","2"
--> "unknown","0","0","1"

-- a_pivot_by_filter
SELECT date_trunc('week', sold_on) AS week,
  count(*) FILTER (WHERE country = 'JP') AS jp,
  count(*) FILTER (WHERE country = 'US') AS us,
  count(*) FILTER (WHERE country IS NULL) AS unknown
FROM sales GROUP BY date_trunc('week', sold_on) ORDER BY week
--> "2026-10-26","1","0","0"
--> "2026-11-02","2","2","0"
--> "2026-11-09","1","1","1"

-- a_funnel
SELECT
  count(DISTINCT if(json_extract_scalar(event, '$.type') = 'view', user_id)) AS viewers,
  count(DISTINCT if(json_extract_scalar(event, '$.type') = 'buy', user_id)) AS buyers
FROM visits
--> "2","2"

-- rate_of_conversion
SELECT dt, try(CAST(count_if(json_extract_scalar(event, '$.type') = 'buy') AS double) / count_if(json_extract_scalar(event, '$.type') = 'view')) AS rate
FROM visits GROUP BY dt ORDER BY dt
--> "2026-11-13","1.0"
--> "2026-11-14","1.0"
--> "2026-11-15","0.0"

-- new_customers_by_week
SELECT date_trunc('week', first + INTERVAL '1' DAY) - INTERVAL '1' DAY AS week, count(*) AS customers
FROM (SELECT customer.id AS id, min(sold_on) AS first FROM sales WHERE customer.id IS NOT NULL GROUP BY customer.id)
GROUP BY 1 ORDER BY 1
--> "2026-11-01","3"
--> "2026-11-08","1"
--> "2026-11-15","1"

-- customers_who_came_back
SELECT customer.id AS id, count(DISTINCT date_trunc('week', sold_on)) AS weeks FROM sales WHERE customer.id IS NOT NULL GROUP BY customer.id HAVING count(DISTINCT date_trunc('week', sold_on)) > 1 ORDER BY 1
--> "1","3"

-- the_last_sale_of_each_customer
SELECT customer_id, id FROM (
  SELECT customer.id AS customer_id, id, row_number() OVER (PARTITION BY customer.id ORDER BY sold_at DESC) AS n
  FROM sales WHERE customer IS NOT NULL
) WHERE n = 1 ORDER BY customer_id
--> "1","9"
--> "2","5"
--> "3","3"
--> "4","8"
--> "5","10"

-- a_period_in_local_time
SELECT count(*) AS sales, min(id) AS first, max(id) AS last FROM sales WHERE sold_at >= TIMESTAMP '2026-11-08 00:00:00.000 Asia/Tokyo' AND sold_at < TIMESTAMP '2026-11-15 00:00:00.000 Asia/Tokyo'
--> "4","5","8"

-- a_period_of_dates
SELECT product, sum(quantity) AS pieces, sum(quantity * price) AS amount FROM sales WHERE sold_on >= DATE '2026-11-08' AND sold_on < DATE '2026-11-15' GROUP BY product ORDER BY amount DESC
--> "cake","4","38.50"
--> "tea","4","15.00"
--> "coffee","2","9.00"

-- a_period_between_dates
SELECT count(*) FROM sales WHERE sold_on BETWEEN DATE '2026-11-08' AND DATE '2026-11-14'
--> "5"

-- the_best_product_of_each_week
SELECT date_trunc('week', sold_on) AS week, max_by(product, quantity * price) AS best, max(quantity * price) AS amount FROM sales GROUP BY 1 ORDER BY 1
--> "2026-10-26","tea","7.00"
--> "2026-11-02","tea","17.50"
--> "2026-11-09","cake","28.50"

-- the_two_best_countries
SELECT country, sum(quantity * price) AS amount FROM sales GROUP BY country ORDER BY amount DESC NULLS LAST LIMIT 2
--> "JP","54.50"
--> "US","50.25"

-- averages_by_country
SELECT country, avg(quantity * price) AS average, round(avg(CAST(quantity AS double)), 2) AS pieces, count(*) AS n FROM sales WHERE country IS NOT NULL GROUP BY country ORDER BY country
--> "DE","9.00","2.0","2"
--> "JP","13.63","2.5","4"
--> "US","16.75","3.33","3"

-- months
SELECT date_format(sold_on, '%Y-%m') AS month, count(*) AS n, sum(quantity * price) AS amount FROM sales GROUP BY date_format(sold_on, '%Y-%m')
--> "2026-11","10","123.75"

-- names_of_weeks
SELECT CAST(year_of_week(sold_on) AS varchar) || '-W' || lpad(CAST(week(sold_on) AS varchar), 2, '0') AS week, count(*) AS n FROM sales GROUP BY 1 ORDER BY 1
--> "2026-W44","1"
--> "2026-W45","4"
--> "2026-W46","5"

-- days_of_the_week
SELECT day_of_week(date(dt)) AS n, date_format(date(dt), '%a') AS day, count(*) AS views FROM visits GROUP BY 1, 2 ORDER BY 1
--> "5","Fri","2"
--> "6","Sat","3"
--> "7","Sun","2"

-- hours_of_the_day
SELECT hour(sold_at AT TIME ZONE 'Asia/Tokyo') AS hour, count(*) AS n FROM sales GROUP BY 1 HAVING count(*) > 1 ORDER BY 1
--> "9","2"

-- a_calendar_with_zeros
SELECT c.day, count(v.url) AS views
FROM UNNEST(sequence(DATE '2026-11-12', DATE '2026-11-15', INTERVAL '1' DAY)) AS c (day)
LEFT JOIN visits AS v ON v.dt = CAST(c.day AS varchar)
GROUP BY c.day ORDER BY c.day
--> "2026-11-12","0"
--> "2026-11-13","2"
--> "2026-11-14","3"
--> "2026-11-15","2"

-- a_total_as_the_last_row
SELECT * FROM (
  SELECT 1 AS o, country, count(*) AS n FROM sales WHERE country IS NOT NULL GROUP BY country
  UNION ALL
  SELECT 2, 'total', count(*) FROM sales WHERE country IS NOT NULL
) ORDER BY o, country
--> "1","DE","2"
--> "1","JP","4"
--> "1","US","3"
--> "2","total","9"

-- running_totals_of_weeks
SELECT week, amount, sum(amount) OVER (ORDER BY week) AS total FROM (SELECT date_trunc('week', sold_on) AS week, sum(quantity * price) AS amount FROM sales GROUP BY 1) ORDER BY week
--> "2026-10-26","7.00","7.00"
--> "2026-11-02","49.25","56.25"
--> "2026-11-09","67.50","123.75"

-- two_weeks_side_by_side
WITH this AS (SELECT product, sum(quantity) AS n FROM sales WHERE sold_on >= DATE '2026-11-09' GROUP BY product),
     last AS (SELECT product, sum(quantity) AS n FROM sales WHERE sold_on >= DATE '2026-11-02' AND sold_on < DATE '2026-11-09' GROUP BY product)
SELECT coalesce(this.product, last.product) AS product, coalesce(this.n, 0) AS this, coalesce(last.n, 0) AS last
FROM this FULL OUTER JOIN last ON this.product = last.product
ORDER BY 1
--> "cake","6","0"
--> "coffee","2","4"
--> "tea","0","9"

-- customers_of_this_week_who_are_new
SELECT customer.id FROM sales WHERE sold_on >= DATE '2026-11-09' AND customer.id IS NOT NULL
EXCEPT
SELECT customer.id FROM sales WHERE sold_on < DATE '2026-11-09'
ORDER BY 1
--> "4"
--> "5"

-- products_that_a_country_never_bought
SELECT c.country, p.product FROM (SELECT DISTINCT country FROM sales WHERE country IS NOT NULL) AS c CROSS JOIN (SELECT DISTINCT product FROM sales) AS p
WHERE NOT EXISTS (SELECT 1 FROM sales AS s WHERE s.country = c.country AND s.product = p.product)
ORDER BY 1, 2
--> "DE","cake"

-- share_of_each_country
SELECT country, round(100e0 * sum(quantity) / sum(sum(quantity)) OVER (), 1) AS share FROM sales WHERE country IS NOT NULL GROUP BY country ORDER BY country
--> "DE","9.1"
--> "JP","45.5"
--> "US","45.5"

-- bands_of_prices
SELECT CASE WHEN price < 4 THEN '1: below 4' WHEN price < 8 THEN '2: 4 to 8' ELSE '3: 8 and more' END AS band, count(*) AS n, sum(quantity) AS pieces FROM sales GROUP BY 1 ORDER BY 1
--> "1: below 4","4","11"
--> "2: 4 to 8","3","6"
--> "3: 8 and more","3","6"

-- lists_of_products
SELECT country, array_join(array_agg(DISTINCT product ORDER BY product), ', ') AS products FROM sales WHERE country IS NOT NULL GROUP BY country ORDER BY country
--> "DE","coffee, tea"
--> "JP","cake, coffee, tea"
--> "US","cake, coffee, tea"

-- the_two_best_as_a_list
SELECT slice(array_agg(product || ' ' || CAST(amount AS varchar) ORDER BY amount DESC), 1, 2) AS best FROM (SELECT product, sum(quantity * price) AS amount FROM sales GROUP BY product)
--> "[cake 58.50, tea 39.50]"

-- a_map_of_products
SELECT m['tea'] AS tea, m['cake'] AS cake FROM (SELECT map_agg(product, pieces) AS m FROM (SELECT product, sum(quantity) AS pieces FROM sales GROUP BY product))
--> "11","6"

-- a_map_as_json
-- source: functions/json.html#cast-to-json
SELECT json_format(CAST(map_agg(product, n) AS json)) AS j FROM (SELECT product, count(*) AS n FROM sales GROUP BY product)
--> "{""cake"":3,""coffee"":3,""tea"":4}"

-- tags_with_their_customers
SELECT tag, listagg(customer.name, ', ') WITHIN GROUP (ORDER BY id) AS names FROM sales CROSS JOIN UNNEST(tags) AS t (tag) WHERE tag IN ('gift', 'green', 'iced') GROUP BY tag ORDER BY tag
--> "gift","Aiko, "
--> "green","Aiko, Ben, Dora"
--> "iced","Ben"

-- weeks_between_first_and_last
SELECT customer.id AS id, date_diff('day', min(sold_on), max(sold_on)) AS days FROM sales WHERE customer.id < 3 GROUP BY customer.id ORDER BY 1
--> "1","13"
--> "2","6"

-- duplicates_removed
SELECT count(*) FROM (SELECT DISTINCT user_id, dt FROM visits WHERE user_id IS NOT NULL)
--> "5"

-- revenue_from_json
SELECT dt, sum(CAST(json_extract_scalar(event, '$.item.price') AS decimal(10,2))) AS revenue FROM visits WHERE json_extract_scalar(event, '$.type') = 'buy' GROUP BY dt ORDER BY dt
--> "2026-11-13","9.50"
--> "2026-11-14","3.50"

-- pages_from_urls
SELECT coalesce(nullif(regexp_extract(url_extract_path(url), '^/([^/]*)', 1), ''), 'home') AS page, count(*) AS views FROM visits GROUP BY 1 ORDER BY views DESC, page
--> "shop","3"
--> "home","2"
--> "cart","1"
--> "relative","1"

-- yesterday
SELECT count(*) AS views, count(DISTINCT user_id) AS users FROM visits WHERE dt = date_format(current_date - interval '1' day, '%Y-%m-%d')
--> "3","2"

-- the_month_so_far
SELECT sum(quantity * price) AS amount FROM sales WHERE sold_on >= date_trunc('month', current_date) AND sold_on < current_date
--> "103.75"

-- the_same_days_of_two_weeks
SELECT day_of_week(sold_on) AS day, sum(if(sold_on < DATE '2026-11-09', quantity, 0)) AS before, sum(if(sold_on >= DATE '2026-11-09', quantity, 0)) AS after FROM sales WHERE sold_on >= DATE '2026-11-02' AND quantity IS NOT NULL GROUP BY day_of_week(sold_on) ORDER BY 1
--> "1","1","1"
--> "2","5","2"
--> "4","3","0"
--> "6","0","3"
--> "7","4","2"

-- days_without_sales
SELECT d FROM UNNEST(sequence(DATE '2026-11-01', DATE '2026-11-07')) AS c (d) WHERE d NOT IN (SELECT sold_on FROM sales) ORDER BY d
--> "2026-11-04"
--> "2026-11-06"
--> "2026-11-07"

-- ties_are_all_kept
-- source: sql/select.html#limit-or-fetch-first-clause
SELECT quantity FROM sales ORDER BY quantity DESC NULLS LAST FETCH FIRST 3 ROWS WITH TIES
--> "5"
--> "4"
--> "3"
--> "3"

-- a_page_of_rows
-- source: sql/select.html#offset-clause
SELECT id FROM sales ORDER BY id OFFSET 3 LIMIT 2
--> "4"
--> "5"

-- a_report_of_several_steps
WITH lines AS (
  SELECT id, sold_on, coalesce(country, 'unknown') AS country, quantity * price AS amount
  FROM sales
  WHERE quantity IS NOT NULL
), weekly AS (
  SELECT date_trunc('week', sold_on) AS week, country, sum(amount) AS amount, count(*) AS n
  FROM lines
  GROUP BY 1, 2
), ranked AS (
  SELECT *, rank() OVER (PARTITION BY week ORDER BY amount DESC) AS place
  FROM weekly
)
SELECT week, place, country, amount
FROM ranked
WHERE place <= 2
ORDER BY week, place
--> "2026-10-26","1","JP","7.00"
--> "2026-11-02","1","US","30.25"
--> "2026-11-02","2","JP","19.00"
--> "2026-11-09","1","JP","28.50"
--> "2026-11-09","2","US","20.00"
