-- What people write from habit with other engines, or by mistake, and Athena refuses.
-- source: https://github.com/trinodb/trino (TestAnalyzer.java and the tests of the functions)

-- an_alias_in_where
SELECT price * quantity AS amount FROM sales WHERE amount > 10
--! COLUMN_NOT_FOUND

-- an_alias_in_group_by
SELECT date_trunc('week', sold_on) AS week, count(*) FROM sales GROUP BY week
--! COLUMN_NOT_FOUND

-- an_alias_in_having
SELECT country, count(*) AS n FROM sales GROUP BY country HAVING n > 2
--! COLUMN_NOT_FOUND

-- an_alias_in_the_same_select
SELECT quantity * 2 AS twice, twice + 1 AS more FROM sales
--! COLUMN_NOT_FOUND

-- a_column_in_order_by_that_is_not_grouped
SELECT country, count(*) FROM sales GROUP BY country ORDER BY price
--! EXPRESSION_NOT_AGGREGATE

-- an_aggregate_beside_a_column
SELECT country, max(price) FROM sales
--! EXPRESSION_NOT_AGGREGATE

-- an_aggregate_in_where
SELECT country FROM sales WHERE count(*) > 1
--! EXPRESSION_NOT_SCALAR

-- an_aggregate_in_group_by
SELECT country, count(*) FROM sales GROUP BY 1, 2
--! EXPRESSION_NOT_SCALAR

-- an_aggregate_of_an_aggregate
SELECT max(count(*)) FROM sales GROUP BY country
--! NESTED_AGGREGATION

-- a_window_in_a_window
SELECT sum(row_number() OVER (ORDER BY id)) OVER () FROM sales
--! NESTED_WINDOW

-- a_position_out_of_range_in_order_by
SELECT country FROM sales ORDER BY 2
--! INVALID_COLUMN_REFERENCE

-- distinct_ordered_by_another_column
SELECT DISTINCT country FROM sales ORDER BY price
--! EXPRESSION_NOT_IN_DISTINCT

-- a_text_compared_with_a_date
SELECT count(*) FROM sales WHERE sold_on >= '2026-11-01'
--! TYPE_MISMATCH

-- a_text_compared_with_a_time
SELECT count(*) FROM sales WHERE sold_at > '2026-11-01 00:00:00'
--! TYPE_MISMATCH

-- a_number_compared_with_a_text
SELECT count(*) FROM visits WHERE dt = 20261115
--! TYPE_MISMATCH

-- a_number_joined_to_a_text
SELECT count(*) FROM sales s JOIN visits v ON s.id = v.user_id
--! TYPE_MISMATCH

-- a_number_concatenated_to_a_text
SELECT 'order ' || id FROM sales
--! TYPE_MISMATCH or FUNCTION_NOT_FOUND

-- a_day_added_as_a_number
SELECT sold_on + 7 FROM sales
--! TYPE_MISMATCH

-- dates_subtracted_from_a_text
SELECT dt - INTERVAL '1' DAY FROM visits
--! TYPE_MISMATCH

-- branches_of_different_types
SELECT CASE WHEN id = 1 THEN 'one' ELSE 0 END FROM sales
--! TYPE_MISMATCH

-- coalesce_of_different_types
SELECT coalesce(quantity, 'none') FROM sales
--! TYPE_MISMATCH

-- ifnull
SELECT ifnull(quantity, 0) FROM sales
--! FUNCTION_NOT_FOUND

-- nvl_and_len
SELECT nvl(quantity, 0), len(product) FROM sales
--! FUNCTION_NOT_FOUND

-- date_sub
SELECT date_sub('day', 1, sold_on) FROM sales
--! FUNCTION_NOT_FOUND

-- a_function_with_too_few_arguments
SELECT date_trunc(sold_on) FROM sales
--! FUNCTION_NOT_FOUND or TYPE_MISMATCH

-- an_unknown_unit
SELECT date_diff('days', sold_on, current_date) FROM sales
--! INVALID_FUNCTION_ARGUMENT

-- an_unknown_table
SELECT count(*) FROM sale
--! TABLE_NOT_FOUND

-- an_unknown_schema
SELECT count(*) FROM nowhere.sales
--! SCHEMA_NOT_FOUND

-- an_unknown_column_of_an_alias
SELECT s.nothing FROM sales s
--! COLUMN_NOT_FOUND

-- a_table_by_its_name_beside_its_alias
SELECT sales.id FROM sales s
--! COLUMN_NOT_FOUND

-- a_text_in_double_quotes
SELECT count(*) FROM sales WHERE country = "JP"
--! COLUMN_NOT_FOUND

-- an_ambiguous_column_of_a_join
SELECT id FROM sales a JOIN sales b ON a.id = b.id
--! AMBIGUOUS_NAME

-- a_subquery_of_many_rows
SELECT (SELECT id FROM sales) AS x
--! SUBQUERY_MULTIPLE_ROWS

-- a_subquery_of_two_columns
SELECT id FROM sales WHERE id IN (SELECT id, quantity FROM sales)
--! TYPE_MISMATCH or NOT_SUPPORTED

-- integers_divided_by_zero
SELECT sum(quantity) / (count(*) - 10) FROM sales
--! DIVISION_BY_ZERO

-- integers_that_overflow
SELECT max(id) * 2147483647 FROM sales
--! NUMERIC_VALUE_OUT_OF_RANGE

-- a_text_that_is_no_number
SELECT CAST(user_id AS integer) FROM visits
--! INVALID_CAST_ARGUMENT

-- a_text_that_is_no_date
SELECT CAST('15.11.2026' AS date)
--! INVALID_CAST_ARGUMENT

-- a_date_that_does_not_parse
SELECT date_parse('2026/11/15', '%Y-%m-%d')
--! INVALID_FUNCTION_ARGUMENT

-- an_array_beyond_its_end
SELECT ARRAY[1, 2][3]
--! INVALID_FUNCTION_ARGUMENT

-- a_map_without_the_key
SELECT attributes['weight'] FROM sales WHERE id = 1
--! INVALID_FUNCTION_ARGUMENT

-- an_unclosed_parenthesis
SELECT count(* FROM sales
--! SYNTAX_ERROR

-- limit_before_offset
SELECT id FROM sales LIMIT 2 OFFSET 3
--! SYNTAX_ERROR

-- double_colon_casts
SELECT sold_at::date FROM sales
--! SYNTAX_ERROR

-- an_interval_in_one_text
SELECT current_date - interval '7 days'
--! SYNTAX_ERROR

-- select_star_except
SELECT * EXCEPT (id) FROM sales
--! SYNTAX_ERROR

-- ilike
SELECT id FROM sales WHERE product ILIKE 'TEA'
--! SYNTAX_ERROR

-- group_by_all
SELECT country, count(*) FROM sales GROUP BY ALL
--! SYNTAX_ERROR

-- lag_with_a_frame
SELECT lag(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM sales
--! INVALID_WINDOW_FRAME

-- lag_without_an_order
SELECT lag(id) OVER (PARTITION BY country) FROM sales
--! MISSING_ORDER_BY

-- grouping_without_group_by
SELECT grouping(country) FROM sales
--! MISSING_GROUP_BY

-- too_many_aliases_of_columns
SELECT * FROM (VALUES (1, 2)) AS t (a, b, c)
--! MISMATCHED_COLUMN_ALIASES

-- the_largest_of_maps
SELECT max(attributes) FROM sales
--! FUNCTION_NOT_FOUND or TYPE_MISMATCH
