-- Joins, subqueries, WITH, sets, order: what every query is made of.
-- source: sql/select.html

-- an_inner_join
SELECT a.x, b.y FROM (VALUES 1, 2, 3) AS a (x) JOIN (VALUES (2, 'b'), (3, 'c'), (3, 'd')) AS b (x, y) ON a.x = b.x ORDER BY 1, 2
--> "2","b"
--> "3","c"
--> "3","d"

-- outer_joins
SELECT a.x, b.x FROM (VALUES 1, 2) AS a (x) FULL JOIN (VALUES 2, 3) AS b (x) ON a.x = b.x ORDER BY coalesce(a.x, b.x)
--> "1",
--> "2","2"
--> ,"3"

-- null_joins_nothing
SELECT count(*) FROM (VALUES 1, NULL) AS a (x) JOIN (VALUES 1, NULL) AS b (x) ON a.x = b.x
--> "1"

-- using_gives_one_column
SELECT * FROM (VALUES (1, 'a')) AS t (k, x) JOIN (VALUES (1, 'b')) AS u (k, y) USING (k)
--# "k","x","y"
--> "1","a","b"

-- a_join_on_a_range
SELECT a.x, count(b.x) FROM (VALUES 1, 2, 3) AS a (x) LEFT JOIN (VALUES 1, 2) AS b (x) ON b.x < a.x GROUP BY a.x ORDER BY a.x
--> "1","0"
--> "2","1"
--> "3","2"

-- words_that_are_joins_elsewhere_are_aliases
SELECT count(*) FROM sales semi JOIN visits anti ON true
--> "70"

-- a_self_join
SELECT a.id, b.id FROM sales AS a JOIN sales AS b ON a.product = b.product AND a.id < b.id WHERE a.product = 'cake' ORDER BY 1, 2
--> "6","9"
--> "6","10"
--> "9","10"

-- exists_and_not_exists
SELECT x FROM (VALUES 1, 2, 3) AS t (x) WHERE EXISTS (SELECT 1 FROM (VALUES 2, 3) AS u (y) WHERE y = x) AND NOT EXISTS (SELECT 1 FROM (VALUES 3) AS v (z) WHERE z = x)
--> "2"

-- a_scalar_subquery_of_nothing_is_null
SELECT (SELECT id FROM sales WHERE id > 99), (SELECT count(*) FROM sales WHERE id > 99)
--> ,"0"

-- a_subquery_of_its_row
SELECT product, (SELECT max(b.quantity) FROM sales AS b WHERE b.product = a.product) AS most FROM (SELECT DISTINCT product FROM sales) AS a ORDER BY product
--> "cake","3"
--> "coffee","3"
--> "tea","5"

-- in_a_subquery
SELECT id FROM sales WHERE country IN (SELECT country FROM sales WHERE product = 'coffee' AND quantity > 1) ORDER BY id
--> "3"
--> "4"
--> "7"
--> "8"
--> "10"

-- cross_join_lateral
SELECT a.x, b.y FROM (VALUES 1, 2) AS a (x) CROSS JOIN LATERAL (SELECT a.x * 10 AS y) AS b ORDER BY 1
--> "1","10"
--> "2","20"

-- with_uses_with
WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a), c (z) AS (SELECT y * 10 FROM b) SELECT x, y, z FROM a, b, c
--> "1","2","20"

-- a_with_hides_a_table
WITH sales AS (SELECT 1 AS id) SELECT * FROM sales
--> "1"

-- a_with_in_a_subquery
SELECT x FROM (WITH a AS (SELECT 7 AS x) SELECT * FROM a)
--> "7"

-- union_intersect_except
SELECT x FROM (SELECT x FROM (VALUES 1, 2, 2) AS a (x) UNION SELECT 3) ORDER BY x
--> "1"
--> "2"
--> "3"

-- intersect_all_and_except_all
SELECT count(*) FROM (SELECT x FROM (VALUES 1, 1, 2) AS a (x) INTERSECT ALL SELECT x FROM (VALUES 1, 1, 1) AS b (x)) UNION ALL SELECT count(*) FROM (SELECT x FROM (VALUES 1, 1, 2) AS a (x) EXCEPT ALL SELECT 1)
--> "2"
--> "2"

-- sets_take_null_as_equal
SELECT NULL AS x UNION SELECT NULL UNION SELECT 1 ORDER BY x
--> "1"
-->

-- names_come_from_the_first_of_a_union
SELECT 1 AS a UNION ALL SELECT 2 AS b ORDER BY a
--# "a"
--> "1"
--> "2"

-- order_puts_null_last_both_ways
SELECT x FROM (VALUES 1, NULL, 2) AS t (x) ORDER BY x DESC
--> "2"
--> "1"
-->

-- order_with_null_first
SELECT x FROM (VALUES 1, NULL, 2) AS t (x) ORDER BY x NULLS FIRST
-->
--> "1"
--> "2"

-- order_by_an_alias_before_a_column
SELECT -id AS id FROM sales WHERE id < 4 ORDER BY id
--> "-3"
--> "-2"
--> "-1"

-- order_by_what_is_not_selected
SELECT product FROM sales WHERE id < 4 ORDER BY price DESC, id DESC
--> "coffee"
--> "tea"
--> "tea"

-- order_by_an_expression_of_an_alias
SELECT id AS n FROM sales WHERE id < 4 ORDER BY n % 2, n
--> "2"
--> "1"
--> "3"

-- distinct_takes_null_as_one
SELECT DISTINCT country FROM sales ORDER BY country
--> "DE"
--> "JP"
--> "US"
-->

-- limit_zero_and_all
SELECT id FROM sales LIMIT 0
--> (no rows)

-- names_of_columns_without_a_name
SELECT 1, 2 AS b, id + 1 FROM sales WHERE id = 1
--# "_col0","b","_col2"
--> "1","2","2"

-- names_in_quotes
SELECT 1 AS "a b", 2 AS "select", "x y" FROM (VALUES 3) AS t ("x y")
--# "a b","select","x y"
--> "1","2","3"

-- comments
SELECT /* one */ 1 -- two
, 2
--> "1","2"

-- a_where_without_from
SELECT 1 WHERE 1 = 1
--> "1"

-- a_where_without_from_that_is_false
SELECT 1 WHERE NULL
--> (no rows)

-- group_by_all_columns_of_a_subquery
SELECT a, b, sum(c) FROM (VALUES (1, 'x', 10), (1, 'x', 20), (1, NULL, 5)) AS t (a, b, c) GROUP BY a, b ORDER BY a, b
--> "1","x","30"
--> "1",,"5"

-- conditions_are_checked_before_a_division_by_case
SELECT CASE WHEN x = 0 THEN NULL ELSE 10 / x END FROM (VALUES 0, 5) AS t (x) ORDER BY x
-->
--> "2"

-- table_of_a_with_query_in_a_union
-- source: sql/select.html
WITH a AS (SELECT 1 AS x) TABLE a UNION ALL SELECT 2 ORDER BY x
--> "1"
--> "2"
