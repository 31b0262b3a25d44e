-- What Athena refuses: names.
-- source: sql/select.html

-- an_unknown_column_in_an_unused_with
WITH a AS (SELECT nope FROM sales) SELECT 1
--! COLUMN_NOT_FOUND

-- an_unknown_table_in_an_unused_with
WITH a AS (SELECT 1 FROM nothing) SELECT 1
--! TABLE_NOT_FOUND

-- a_type_mistake_in_an_unused_with
WITH a AS (SELECT 'a' + 1 AS x) SELECT 1
--! TYPE_MISMATCH

-- a_with_named_twice
WITH a AS (SELECT 1 AS x), a AS (SELECT 2 AS x) SELECT * FROM a
--! DUPLICATE_NAMED_QUERY

-- a_with_named_twice_in_another_case
WITH a AS (SELECT 1 AS x), A AS (SELECT 2 AS x) SELECT * FROM a
--! DUPLICATE_NAMED_QUERY

-- a_with_that_is_not_yet_known
WITH a AS (SELECT * FROM b), b AS (SELECT 1 AS x) SELECT * FROM a
--! TABLE_NOT_FOUND

-- an_ambiguous_order_by
SELECT id AS x, quantity AS x FROM sales ORDER BY x
--! AMBIGUOUS_NAME

-- an_ambiguous_column_of_a_join
SELECT id FROM sales AS a JOIN sales AS b ON a.id = b.id
--! AMBIGUOUS_NAME

-- an_ambiguous_column_of_a_subquery
SELECT x FROM (SELECT 1 AS x, 2 AS x)
--! AMBIGUOUS_NAME

-- distinct_with_an_order_by_another_column
SELECT DISTINCT country FROM sales ORDER BY id
--! EXPRESSION_NOT_IN_DISTINCT

-- distinct_with_an_order_by_another_expression
SELECT DISTINCT country FROM sales ORDER BY upper(country)
--! EXPRESSION_NOT_IN_DISTINCT

-- an_order_by_at_no_position
SELECT id FROM sales ORDER BY 2
--! INVALID_COLUMN_REFERENCE

-- an_order_by_at_position_zero
SELECT id FROM sales ORDER BY 0
--! INVALID_COLUMN_REFERENCE

-- an_alias_in_where
SELECT quantity * price AS amount FROM sales WHERE amount > 10
--! COLUMN_NOT_FOUND

-- an_alias_in_its_own_select
SELECT 1 AS x, x + 1 AS y
--! COLUMN_NOT_FOUND

-- a_text_in_double_quotes
SELECT id FROM sales WHERE country = "JP"
--! COLUMN_NOT_FOUND

-- a_table_named_by_another_name
SELECT sales.id FROM sales AS s
--! COLUMN_NOT_FOUND

-- everything_of_a_table_that_is_not_there
SELECT t.* FROM sales AS s
--! TABLE_NOT_FOUND or COLUMN_NOT_FOUND

-- everything_of_nothing
SELECT *
--! COLUMN_NOT_FOUND

-- an_unknown_column_of_using
SELECT * FROM sales JOIN visits USING (country)
--! COLUMN_NOT_FOUND

-- a_natural_join
SELECT count(*) FROM sales NATURAL JOIN empty_sales
--! NOT_SUPPORTED

-- a_column_of_the_query_outside_of_a_subquery_in_from
SELECT * FROM sales AS s, (SELECT s.id + 1 AS x) AS t
--! COLUMN_NOT_FOUND

-- Types.
-- source: language/types.html

-- a_text_plus_a_number
SELECT '1' + 1
--! TYPE_MISMATCH

-- a_number_against_a_text
SELECT id FROM sales WHERE id = '1'
--! TYPE_MISMATCH

-- a_text_against_a_number
SELECT count(*) FROM visits WHERE dt > 20261101
--! TYPE_MISMATCH

-- a_number_in_a_list_of_texts
SELECT id FROM sales WHERE id IN ('1', '2')
--! TYPE_MISMATCH

-- a_text_between_numbers
SELECT product BETWEEN 1 AND 2 FROM sales
--! TYPE_MISMATCH

-- not_of_a_number
SELECT NOT 1
--! TYPE_MISMATCH

-- and_of_a_text
SELECT 'true' AND true
--! TYPE_MISMATCH

-- minus_of_a_text
SELECT -'a'
--! TYPE_MISMATCH

-- a_boolean_plus_a_number
SELECT true + 1
--! TYPE_MISMATCH

-- a_condition_that_is_a_number
SELECT id FROM sales WHERE quantity
--! TYPE_MISMATCH

-- a_join_on_a_number
SELECT count(*) FROM sales AS a JOIN sales AS b ON a.id
--! TYPE_MISMATCH

-- a_text_joined_to_a_number
SELECT count(*) FROM sales AS a JOIN visits AS b ON a.id = b.user_id
--! TYPE_MISMATCH

-- length_of_a_number
SELECT length(5)
--! FUNCTION_NOT_FOUND

-- upper_of_a_number
SELECT upper(id) FROM sales
--! FUNCTION_NOT_FOUND

-- average_of_dates
SELECT avg(sold_on) FROM sales
--! FUNCTION_NOT_FOUND

-- a_date_from_text_compared
SELECT sold_on > '2026-11-01' FROM sales
--! TYPE_MISMATCH

-- a_union_of_two_types
SELECT id FROM sales UNION ALL SELECT product FROM sales
--! TYPE_MISMATCH

-- a_union_of_two_sizes
SELECT id, product FROM sales UNION ALL SELECT id FROM sales
--! TYPE_MISMATCH

-- like_of_a_number
SELECT id LIKE '1%' FROM sales
--! TYPE_MISMATCH

-- Values at run time.
-- source: functions/math.html

-- modulus_by_zero
SELECT mod(id, 0) FROM sales
--! DIVISION_BY_ZERO

-- division_of_decimals_by_zero
SELECT price / 0 FROM sales
--! DIVISION_BY_ZERO

-- bigints_that_overflow
SELECT 9223372036854775807 * 2
--! NUMERIC_VALUE_OUT_OF_RANGE

-- a_subquery_of_two_rows
SELECT (SELECT id FROM sales WHERE id < 3)
--! SUBQUERY_MULTIPLE_ROWS

-- a_number_beyond_bigint
SELECT 9223372036854775808
--! NUMERIC_VALUE_OUT_OF_RANGE or SYNTAX_ERROR or INVALID_LITERAL

-- Functions of other engines.
-- source: functions/list.html

-- ifnull
SELECT ifnull(1, 2)
--! FUNCTION_NOT_FOUND

-- nvl
SELECT nvl(NULL, 'x')
--! FUNCTION_NOT_FOUND

-- string_agg
SELECT string_agg(product, ',') FROM sales
--! FUNCTION_NOT_FOUND

-- group_concat
SELECT group_concat(product) FROM sales
--! FUNCTION_NOT_FOUND

-- median
SELECT median(quantity) FROM sales
--! FUNCTION_NOT_FOUND

-- datediff
SELECT datediff('day', DATE '2026-11-01', DATE '2026-11-15')
--! FUNCTION_NOT_FOUND

-- dateadd
SELECT dateadd('day', 1, DATE '2026-11-01')
--! FUNCTION_NOT_FOUND or COLUMN_NOT_FOUND

-- strftime
SELECT strftime(DATE '2026-11-15', '%Y')
--! FUNCTION_NOT_FOUND

-- len
SELECT len('abc')
--! FUNCTION_NOT_FOUND

-- instr
SELECT instr('abc', 'b')
--! FUNCTION_NOT_FOUND

-- left_of_a_text
SELECT left('abc', 2)
--! SYNTAX_ERROR or FUNCTION_NOT_FOUND

-- list_value
SELECT list_value(1, 2)
--! FUNCTION_NOT_FOUND

-- array_length
SELECT array_length(ARRAY[1])
--! FUNCTION_NOT_FOUND

-- array_contains
SELECT array_contains(ARRAY[1], 1)
--! FUNCTION_NOT_FOUND

-- regexp_matches
SELECT regexp_matches('a', 'a')
--! FUNCTION_NOT_FOUND

-- json_extract_string
SELECT json_extract_string('{"a": 1}', '$.a')
--! FUNCTION_NOT_FOUND

-- get_json_object
SELECT get_json_object('{"a": 1}', '$.a')
--! FUNCTION_NOT_FOUND

-- generate_series
SELECT generate_series(1, 3)
--! FUNCTION_NOT_FOUND

-- explode
SELECT explode(ARRAY[1, 2])
--! FUNCTION_NOT_FOUND

-- quantile_cont
SELECT quantile_cont(quantity, 0.5e0) FROM sales
--! FUNCTION_NOT_FOUND

-- first_of_a_group
SELECT first(product) FROM sales
--! FUNCTION_NOT_FOUND

-- isnull
SELECT isnull(1)
--! FUNCTION_NOT_FOUND

-- epoch
SELECT epoch(TIMESTAMP '2026-11-15 00:00:00.000')
--! FUNCTION_NOT_FOUND

-- struct_pack
SELECT struct_pack(1)
--! FUNCTION_NOT_FOUND

-- Syntax of other dialects.
-- source: sql/select.html

-- qualify
SELECT id FROM sales QUALIFY row_number() OVER (ORDER BY id) = 1
--! SYNTAX_ERROR

-- ilike
SELECT id FROM sales WHERE product ILIKE 'T%'
--! SYNTAX_ERROR

-- backticks
SELECT `id` FROM sales
--! SYNTAX_ERROR

-- offset_after_limit
SELECT id FROM sales ORDER BY id LIMIT 2 OFFSET 1
--! SYNTAX_ERROR

-- top
SELECT TOP 5 id FROM sales
--! SYNTAX_ERROR

-- distinct_on
SELECT DISTINCT ON (country) id FROM sales
--! SYNTAX_ERROR

-- star_with_exclude
SELECT * EXCLUDE (id) FROM sales
--! SYNTAX_ERROR

-- star_with_replace
SELECT * REPLACE (1 AS id) FROM sales
--! SYNTAX_ERROR

-- from_first
FROM sales
--! SYNTAX_ERROR

-- a_join_without_a_condition
SELECT count(*) FROM sales AS a JOIN sales AS b
--! SYNTAX_ERROR

-- a_comma_too_many
SELECT id, FROM sales
--! SYNTAX_ERROR

-- a_bracket_too_few
SELECT count( FROM sales
--! SYNTAX_ERROR

-- two_conditions
SELECT id FROM sales WHERE id = 1 WHERE id = 2
--! SYNTAX_ERROR

-- where_after_group_by
SELECT country, count(*) FROM sales GROUP BY country WHERE id > 1
--! SYNTAX_ERROR

-- a_negative_limit
SELECT id FROM sales LIMIT -1
--! SYNTAX_ERROR

-- two_equal_signs
SELECT 1 == 1
--! SYNTAX_ERROR

-- a_regular_expression_operator
SELECT 'a' ~ 'a'
--! SYNTAX_ERROR

-- rlike
SELECT 'a' RLIKE 'a'
--! SYNTAX_ERROR

-- a_lambda_of_python
SELECT transform(ARRAY[1], lambda x: x + 1)
--! SYNTAX_ERROR

-- a_comment_with_a_hash
SELECT 1 # one
--! SYNTAX_ERROR

-- a_text_in_dollars
SELECT $$a$$
--! SYNTAX_ERROR

-- a_union_by_name
SELECT 1 AS x UNION BY NAME SELECT 2 AS x
--! SYNTAX_ERROR

-- a_power_operator
SELECT 2 ** 3
--! SYNTAX_ERROR

-- an_unknown_statement
SELEC 1
--! SYNTAX_ERROR

-- a_word_that_is_reserved
SELECT id AS order FROM sales
--! SYNTAX_ERROR

-- fetch_without_first
SELECT quantity FROM sales ORDER BY quantity FETCH 3 ROWS ONLY
--! SYNTAX_ERROR
