-- Subtotals: ROLLUP, CUBE, GROUPING SETS.
-- source: sql/select.html#complex-grouping-operations

-- rollup_with_a_name_for_the_total
SELECT coalesce(country, 'all') AS country, count(*) AS sales, sum(quantity * price) AS amount FROM sales WHERE country IS NOT NULL GROUP BY ROLLUP (country) ORDER BY sales, country
--# "country","sales","amount"
--> "DE","2","9.00"
--> "US","3","50.25"
--> "JP","4","54.50"
--> "all","9","113.75"

-- rollup_of_two
SELECT country, product, count(*) AS n FROM sales WHERE country IN ('JP', 'DE') GROUP BY ROLLUP (country, product) ORDER BY country, product
--> "DE","coffee","1"
--> "DE","tea","1"
--> "DE",,"2"
--> "JP","cake","1"
--> "JP","coffee","1"
--> "JP","tea","2"
--> "JP",,"4"
--> ,,"6"

-- rollup_keeps_a_null_group_apart
SELECT country, count(*) AS n, grouping(country) AS total FROM sales GROUP BY ROLLUP (country) ORDER BY total, n, country
--> ,"1","0"
--> "DE","2","0"
--> "US","3","0"
--> "JP","4","0"
--> ,"10","1"

-- rollup_of_weeks
SELECT coalesce(CAST(week AS varchar), 'total') AS week, sum(quantity) AS pieces FROM (SELECT date_trunc('week', sold_on) AS week, quantity FROM sales) GROUP BY ROLLUP (week) ORDER BY 1
--> "2026-10-26","2"
--> "2026-11-02","13"
--> "2026-11-09","8"
--> "total","23"

-- rollup_of_a_column_of_a_table_by_name
SELECT s.country, count(*) FROM sales AS s WHERE s.country = 'US' GROUP BY ROLLUP (s.country) ORDER BY s.country
--> "US","3"
--> ,"3"

-- rollup_of_an_empty_table
SELECT country, count(*) FROM empty_sales GROUP BY ROLLUP (country)
--> ,"0"

-- rollup_with_having
SELECT product, sum(quantity) AS pieces FROM sales GROUP BY ROLLUP (product) HAVING sum(quantity) > 6 ORDER BY pieces
--> "tea","11"
--> ,"23"

-- cube_of_two
SELECT a, b, sum(x) FROM (VALUES ('p', 'q', 1), ('p', 'r', 2)) AS t (a, b, x) GROUP BY CUBE (a, b) ORDER BY a, b
--> "p","q","1"
--> "p","r","2"
--> "p",,"3"
--> ,"q","1"
--> ,"r","2"
--> ,,"3"

-- cube_with_grouping
SELECT a, b, grouping(a, b) AS g, sum(x) FROM (VALUES ('p', 'q', 1), ('s', 'q', 2)) AS t (a, b, x) GROUP BY CUBE (a, b) ORDER BY g, a, b
--> "p","q","0","1"
--> "s","q","0","2"
--> "p",,"1","1"
--> "s",,"1","2"
--> ,"q","2","3"
--> ,,"3","3"

-- grouping_sets_of_columns
SELECT country, product, count(*) AS n FROM sales WHERE country IN ('JP', 'DE') GROUP BY GROUPING SETS ((country), (product)) ORDER BY country, product
--> "DE",,"2"
--> "JP",,"4"
--> ,"cake","1"
--> ,"coffee","2"
--> ,"tea","3"

-- grouping_sets_with_the_total
SELECT product, sum(quantity) FROM sales GROUP BY GROUPING SETS ((product), ()) ORDER BY product
--> "cake","6"
--> "coffee","6"
--> "tea","11"
--> ,"23"

-- grouping_sets_named_twice_give_rows_twice
SELECT product, count(*) FROM sales WHERE product = 'tea' GROUP BY GROUPING SETS ((product), (product))
--> "tea","4"
--> "tea","4"

-- grouping_sets_distinct
SELECT product, count(*) FROM sales WHERE product = 'tea' GROUP BY DISTINCT GROUPING SETS ((product), (product))
--> "tea","4"

-- the_empty_group
SELECT count(*) FROM sales GROUP BY ()
--> "10"

-- rollup_beside_a_column
SELECT country, product, sum(quantity) FROM sales WHERE country IN ('US', 'DE') GROUP BY country, ROLLUP (product) ORDER BY country, product
--> "DE","coffee","2"
--> "DE","tea",
--> "DE",,"2"
--> "US","cake","2"
--> "US","coffee","3"
--> "US","tea","5"
--> "US",,"10"

-- grouping_tells_totals_from_nulls
SELECT CASE WHEN grouping(country) = 1 THEN 'all' ELSE coalesce(country, 'unknown') END AS place, count(*) AS n FROM sales GROUP BY ROLLUP (country) ORDER BY n, place
--> "unknown","1"
--> "DE","2"
--> "US","3"
--> "JP","4"
--> "all","10"

-- rollup_with_distinct_and_approx
SELECT product, count(DISTINCT country), approx_distinct(customer.id) FROM sales GROUP BY ROLLUP (product) ORDER BY product
--> "cake","2","2"
--> "coffee","3","3"
--> "tea","3","4"
--> ,"3","5"

-- rollup_in_a_subquery
SELECT max(n) FROM (SELECT country, count(*) AS n FROM sales GROUP BY ROLLUP (country))
--> "10"

-- rollup_of_a_nested_field_by_a_subquery
SELECT name, count(*) FROM (SELECT customer.name AS name FROM sales WHERE customer.id < 3) GROUP BY ROLLUP (name) ORDER BY 1
--> "Aiko","3"
--> "Ben","2"
--> ,"5"

-- a_window_over_a_rollup
SELECT product, sum(quantity) AS pieces, rank() OVER (ORDER BY sum(quantity) DESC) AS place FROM sales GROUP BY ROLLUP (product) ORDER BY place, product
--> ,"23","1"
--> "tea","11","2"
--> "cake","6","3"
--> "coffee","6","3"

-- a_column_outside_of_the_sets
SELECT country, product, count(*) FROM sales GROUP BY ROLLUP (country)
--! EXPRESSION_NOT_AGGREGATE

-- grouping_of_another_column
SELECT grouping(id), count(*) FROM sales GROUP BY ROLLUP (country)
--! INVALID_ARGUMENTS

-- rollup_of_an_expression
SELECT month(sold_on), count(*) FROM sales GROUP BY ROLLUP (month(sold_on))
--! INVALID_COLUMN_REFERENCE

-- cube_of_an_expression
SELECT count(*) FROM sales GROUP BY CUBE (upper(country), product)
--! INVALID_COLUMN_REFERENCE
