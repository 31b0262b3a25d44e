-- Joins, subqueries, set operations, windows, ordering, names.
-- source: sql/select.html

-- exists_and_not_exists
SELECT count_if(EXISTS (SELECT 1 FROM visits v WHERE v.user_id = t.u)) AS seen, count_if(NOT EXISTS (SELECT 1 FROM visits v WHERE v.user_id = t.u)) AS unseen
FROM (VALUES 'u1', 'u2', 'u9', NULL) AS t (u)
--> "2","2"

-- not_in_with_a_null_is_never_true
SELECT count(*) FROM (VALUES 'u1', 'u9') AS t (u) WHERE u NOT IN (SELECT user_id FROM visits)
--> "0"

-- not_in_without_nulls
SELECT u FROM (VALUES 'u1', 'u9') AS t (u) WHERE u NOT IN (SELECT user_id FROM visits WHERE user_id IS NOT NULL)
--> "u9"

-- in_with_a_subquery_of_aggregates
SELECT id FROM sales WHERE country IN (SELECT country FROM sales GROUP BY country HAVING count(*) > 3) ORDER BY id
--> "1"
--> "2"
--> "5"
--> "9"

-- a_scalar_subquery_in_select
SELECT country, count(*) AS n, (SELECT count(*) FROM sales) AS of, count(*) * 100 / (SELECT count(*) FROM sales) AS percent FROM sales GROUP BY country ORDER BY n DESC, country
--> "JP","4","10","40"
--> "US","3","10","30"
--> "DE","2","10","20"
--> ,"1","10","10"

-- a_correlated_scalar_subquery
SELECT id, (SELECT count(*) FROM sales o WHERE o.country = s.country AND o.sold_at < s.sold_at) AS earlier FROM sales s WHERE product = 'cake' ORDER BY id
--> "6","0"
--> "9","3"
--> "10","2"

-- a_scalar_subquery_without_rows_is_null
SELECT (SELECT id FROM sales WHERE id > 100) AS none, coalesce((SELECT max(id) FROM empty_sales), -1) AS highest
--> ,"-1"

-- above_the_average_of_its_group
SELECT id FROM sales s WHERE price > (SELECT avg(price) FROM sales WHERE product = s.product) ORDER BY id
--> "1"
--> "3"
--> "5"
--> "6"
--> "7"
--> "10"

-- comparisons_with_all_and_any
SELECT count_if(price >= ALL (SELECT price FROM sales)) AS highest, count_if(price < ANY (SELECT price FROM sales WHERE product = 'tea')) AS below FROM sales
--> "2","3"

-- union_removes_duplicates
SELECT country FROM sales WHERE product = 'tea' UNION SELECT country FROM sales WHERE product = 'cake' ORDER BY country NULLS LAST
--> "DE"
--> "JP"
--> "US"
-->

-- intersect_and_except
SELECT country FROM sales WHERE product = 'tea' EXCEPT SELECT country FROM sales WHERE product = 'cake'
--> "DE"

-- intersect_treats_nulls_as_equal
SELECT x FROM (VALUES 1, NULL, 2, 2) AS t (x) INTERSECT SELECT x FROM (VALUES 2, NULL) AS t (x) ORDER BY x
--> "2"
-->

-- union_all_with_a_total
SELECT product, sum(quantity) AS n FROM sales GROUP BY product UNION ALL SELECT 'total', sum(quantity) FROM sales ORDER BY n, product
--> "cake","6"
--> "coffee","6"
--> "tea","11"
--> "total","23"

-- union_of_different_numbers
SELECT 1 AS x UNION ALL SELECT 2.5e0 UNION ALL SELECT NULL ORDER BY x
--> "1.0"
--> "2.5"
-->

-- left_join_with_a_condition_in_on
SELECT c.name, count(s.id) AS n FROM (VALUES ('JP', 'Japan'), ('DE', 'Germany'), ('FR', 'France')) AS c (code, name)
LEFT JOIN sales s ON s.country = c.code AND s.product = 'tea' GROUP BY c.name ORDER BY c.name
--> "France","0"
--> "Germany","1"
--> "Japan","2"

-- left_join_with_a_condition_in_where
SELECT c.name, count(s.id) AS n FROM (VALUES ('JP', 'Japan'), ('DE', 'Germany'), ('FR', 'France')) AS c (code, name)
LEFT JOIN sales s ON s.country = c.code WHERE s.product = 'tea' GROUP BY c.name ORDER BY c.name
--> "Germany","1"
--> "Japan","2"

-- join_using_shows_the_column_once
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS l (id, x) JOIN (VALUES (2, 'c'), (3, 'd')) AS r (id, y) USING (id)
--# "id","x","y"
--> "2","b","c"

-- join_by_a_range
SELECT s.id, r.label FROM sales s JOIN (VALUES (0, 4, 'low'), (4, 100, 'high')) AS r (a, z, label) ON s.price >= r.a AND s.price < r.z WHERE s.product = 'coffee' ORDER BY s.id
--> "2","high"
--> "4","high"
--> "7","high"

-- full_join_without_a_match
SELECT l.x, r.x FROM (VALUES 1, 2) AS l (x) FULL JOIN (VALUES 2, 3) AS r (x) ON l.x = r.x ORDER BY coalesce(l.x, r.x)
--# "x","x"
--> "1",
--> "2","2"
--> ,"3"

-- nulls_do_not_join
SELECT count(*) FROM sales a JOIN sales b ON a.country = b.country
--> "29"

-- nulls_join_by_is_not_distinct_from
SELECT count(*) FROM sales a JOIN sales b ON a.country IS NOT DISTINCT FROM b.country
--> "30"

-- a_cross_join_of_lists
SELECT p, w FROM (VALUES 'tea', 'cake') AS a (p) CROSS JOIN (VALUES 45, 46) AS b (w) ORDER BY p DESC, w
--> "tea","45"
--> "tea","46"
--> "cake","45"
--> "cake","46"

-- order_by_puts_nulls_last
SELECT country FROM (SELECT DISTINCT country FROM sales) ORDER BY country DESC
--> "US"
--> "JP"
--> "DE"
-->

-- order_by_expressions_and_positions
SELECT id, price FROM sales WHERE id <= 4 ORDER BY price DESC, 1 DESC
--> "4","4.25"
--> "2","4.00"
--> "3","3.50"
--> "1","3.50"

-- offset_rows_fetch_next
SELECT id FROM sales ORDER BY id DESC OFFSET 2 ROWS FETCH NEXT 2 ROWS ONLY
--> "8"
--> "7"

-- fetch_first_with_ties
SELECT id FROM (SELECT id FROM sales ORDER BY price DESC FETCH FIRST 1 ROW WITH TIES) ORDER BY id
--> "6"
--> "10"

-- limit_all_and_limit_zero
SELECT (SELECT count(*) FROM (SELECT id FROM sales LIMIT ALL)), (SELECT count(*) FROM (SELECT id FROM sales LIMIT 0))
--> "10","0"

-- names_do_not_differ_by_case
SELECT S.COUNTRY, Count(*) AS "N of Sales" FROM Sales AS s WHERE s.Product = 'cake' AND COUNTRY = 'JP' GROUP BY s.country
--> "JP","1"

-- names_of_columns_without_an_alias
SELECT count(*), max(id), 1 + 1, country FROM sales WHERE country = 'DE' GROUP BY country
--# "_col0","_col1","_col2","country"
--> "2","8","2","DE"

-- reserved_words_in_quotes
SELECT "order", "select" FROM (VALUES (1, 2)) AS t ("order", "select")
--# "order","select"
--> "1","2"

-- qualified_names_of_tables
SELECT count(*) FROM db.sales JOIN "awsdatacatalog"."db"."visits" v ON v.user_id = 'u' || CAST(sales.customer.id AS varchar) WHERE sales.id = 1
--> "3"

-- comments_in_a_query
SELECT /* how many */ count(*) -- of them
FROM sales -- all
--> "10"

-- with_of_columns_and_other_withs
WITH a (x, y) AS (SELECT 1, 2), b AS (SELECT x + y AS z FROM a), c AS (SELECT z * 2 AS z FROM b) SELECT a.x, b.z, c.z FROM a, b, c
--> "1","3","6"

-- group_by_a_position_and_an_expression
SELECT price > 4 AS is_dear, count(*) FROM sales GROUP BY price > 4 ORDER BY 1
--> "false","5"
--> "true","5"

-- distinct_counts
SELECT count(DISTINCT country), count(DISTINCT product), count(country), count(*) FROM sales
--> "3","3","9","10"

-- aggregates_of_no_rows
SELECT count(*), sum(quantity), max(sold_on), avg(price), array_agg(id), count_if(id > 1), bool_and(id > 1) FROM empty_sales
--> "0",,,,,"0",

-- windows_with_a_name
SELECT id, sum(quantity) OVER w AS s, row_number() OVER (w ORDER BY id DESC) AS r FROM sales WHERE product = 'coffee' WINDOW w AS (PARTITION BY product) ORDER BY id
--> "2","6","3"
--> "4","6","2"
--> "7","6","1"

-- the_default_frame_includes_peers
SELECT k, x, sum(x) OVER (ORDER BY k) AS s, count(*) OVER (ORDER BY k ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) >= 1 AS c FROM (VALUES (1, 10), (2, 20), (2, 30), (3, 40)) AS t (k, x) ORDER BY k, x
--> "1","10","10","true"
--> "2","20","60","true"
--> "2","30","60","true"
--> "3","40","100","true"

-- last_value_needs_a_frame
SELECT x, last_value(x) OVER (ORDER BY x) AS a, last_value(x) OVER (ORDER BY x ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS b, first_value(x) OVER (ORDER BY x DESC) AS c FROM (VALUES 1, 2, 3) AS t (x) ORDER BY x
--> "1","1","3","3"
--> "2","2","3","3"
--> "3","3","3","3"

-- lag_and_lead_with_defaults
SELECT x, lag(x) OVER (ORDER BY x), lag(x, 2, -1) OVER (ORDER BY x), lead(x, 1, 0) OVER (ORDER BY x), lead(x, 0) OVER (ORDER BY x) FROM (VALUES 1, 2, 3) AS t (x) ORDER BY x
--> "1",,"-1","2","1"
--> "2","1","-1","3","2"
--> "3","2","1","0","3"

-- range_of_numbers
SELECT x, count(*) OVER (ORDER BY x RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING) AS n FROM (VALUES 1, 2, 4, 8) AS t (x) ORDER BY x
--> "1","2"
--> "2","2"
--> "4","2"
--> "8","1"

-- groups_of_a_window
SELECT x, sum(x) OVER (ORDER BY x GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM (VALUES 1, 2, 2, 5) AS t (x) ORDER BY x
--> "1","1"
--> "2","5"
--> "2","5"
--> "5","9"

-- rows_ahead
SELECT x, sum(x) OVER (ORDER BY x ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING) AS s, max(x) OVER (ORDER BY x ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS m FROM (VALUES 1, 2, 3) AS t (x) ORDER BY x
--> "1","5","3"
--> "2","3","3"
--> "3",,"3"

-- windows_over_aggregates
SELECT product, count(*) AS n, rank() OVER (ORDER BY count(*) DESC) AS r, sum(count(*)) OVER () AS total FROM sales GROUP BY product ORDER BY product
--> "cake","3","2","10"
--> "coffee","3","2","10"
--> "tea","4","1","10"

-- a_window_with_filter
SELECT id, count(*) FILTER (WHERE country = 'JP') OVER (ORDER BY id) AS jp FROM sales WHERE id < 6 ORDER BY id
--> "1","1"
--> "2","2"
--> "3","2"
--> "4","2"
--> "5","3"

-- partition_by_null_is_a_group
SELECT id, count(*) OVER (PARTITION BY country) AS n FROM sales WHERE product = 'cake' OR country IS NULL ORDER BY id
--> "6","1"
--> "9","1"
--> "10","1"

-- sample_of_conditions
SELECT id FROM sales WHERE (country = 'JP' OR product = 'tea') AND NOT (quantity > 4) AND price BETWEEN 3.5 AND 4 ORDER BY 1
--> "1"
--> "2"
--> "5"

-- nested_columns_in_group_by
SELECT customer.address.city AS city, sum(quantity) AS n FROM sales WHERE customer.name <> '' GROUP BY customer.address.city ORDER BY city
--> "Berlin","2"
--> "Kyoto","8"
--> "Osaka","5"
--> "Reno","5"
--> ,

-- a_view_is_joined
SELECT b.id, v.sales FROM big_sales b JOIN sales s ON s.id = b.id JOIN sales_by_country v ON v.country = s.country WHERE b.product = 'tea' ORDER BY b.id
--> "3","3"
--> "5","4"

-- a_table_of_lines
SELECT name, detail.size, cardinality(detail.colors) AS n, score FROM events_openx ORDER BY id
--> "start","3","2","1.5"
--> ,,"0",
--> "",,,"-2.0"

-- values_with_names
SELECT * FROM (VALUES (1, 'a'), (2, NULL)) AS t (id, name) ORDER BY 1
--# "id","name"
--> "1","a"
--> "2",

-- a_row_compares_with_a_row
SELECT id FROM sales WHERE (country, product) IN (('JP', 'cake'), ('US', 'tea')) ORDER BY id
--> "3"
--> "9"

-- a_lateral_like_join_of_values
SELECT s.id, u.k, u.v FROM sales s CROSS JOIN UNNEST(s.attributes) AS u (k, v) WHERE s.id IN (1, 9) ORDER BY s.id, u.k
--> "1","color","green"
--> "1","size","s"
--> "9","gift","yes"

-- tags_are_counted
SELECT tag, count(*) AS n FROM sales, UNNEST(tags) AS t (tag) GROUP BY tag ORDER BY n DESC, tag NULLS LAST
--> "green","3"
--> "hot","3"
--> "gift","2"
--> "sweet","2"
--> "iced","1"
--> ,"1"

-- rows_without_tags_are_kept
SELECT id, tag, n FROM sales LEFT JOIN UNNEST(tags) WITH ORDINALITY AS t (tag, n) ON TRUE WHERE id BETWEEN 3 AND 5 ORDER BY id, n
--> "3",,
--> "4",,
--> "5","iced","1"
--> "5","green","2"

-- a_ratio_of_two_subqueries
SELECT round(1.0 * a.n / b.n, 3) AS ratio FROM (SELECT count(*) AS n FROM sales WHERE product = 'tea') a, (SELECT count(*) AS n FROM sales) b
--> "0.4"

-- top_n_and_the_rest
WITH ranked AS (SELECT country, count(*) AS n, row_number() OVER (ORDER BY count(*) DESC, country) AS r FROM sales WHERE country IS NOT NULL GROUP BY country)
SELECT CASE WHEN r <= 1 THEN country ELSE 'other' END AS country, sum(n) AS n FROM ranked GROUP BY 1 ORDER BY min(r)
--> "JP","4"
--> "other","5"
