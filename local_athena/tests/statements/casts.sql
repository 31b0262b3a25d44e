-- CAST, and the names of types.
-- source: functions/conversion.html

-- integers_from_texts
SELECT CAST('12' AS integer), CAST('-5' AS bigint), CAST('+7' AS smallint), CAST('007' AS tinyint)
--> "12","-5","7","7"

-- doubles_round_to_integers
SELECT CAST(2.5e0 AS integer), CAST(-2.5e0 AS integer), CAST(2.4999e0 AS bigint), CAST(-0.4e0 AS integer)
--> "3","-3","2","0"

-- decimals_round_to_integers
SELECT CAST(DECIMAL '2.5' AS integer), CAST(DECIMAL '-2.5' AS bigint), CAST(DECIMAL '2.49' AS integer)
--> "3","-3","2"

-- decimals_round_to_decimals
SELECT CAST(DECIMAL '1.235' AS decimal(5,2)), CAST(DECIMAL '-1.235' AS decimal(5,2)), CAST(1 AS decimal(5,2)), CAST('1.005' AS decimal(5,2))
--> "1.24","-1.24","1.00","1.01"

-- decimals_without_digits
SELECT CAST(1.5e0 AS decimal), CAST(DECIMAL '12.00' AS varchar), CAST(5 AS decimal(3))
--> "2","12.00","5"

-- booleans
SELECT CAST('true' AS boolean), CAST('F' AS boolean), CAST('1' AS boolean), CAST(0 AS boolean), CAST(2 AS boolean), CAST(true AS varchar), CAST(false AS integer)
--> "true","false","true","false","true","true","0"

-- a_boolean_from_another_word
SELECT CAST('yes' AS boolean)
--! INVALID_CAST_ARGUMENT

-- dates_and_texts
SELECT CAST(DATE '2026-11-15' AS varchar), CAST('2026-11-15' AS date), CAST(TIMESTAMP '2026-11-15 01:02:03.004' AS varchar), CAST('2026-11-15 01:02:03' AS timestamp)
--> "2026-11-15","2026-11-15","2026-11-15 01:02:03.004","2026-11-15 01:02:03.000"

-- texts_of_a_length
SELECT CAST('abcdef' AS varchar(3)), CAST('ab' AS varchar(5)), length(CAST('ab' AS char(5))), CAST(12 AS varchar(5))
--> "abc","ab","5","12"

-- a_number_longer_than_its_text
SELECT CAST(x AS varchar(2)) FROM (VALUES 12345) AS t (x)
--! INVALID_CAST_ARGUMENT

-- types_by_other_names
SELECT CAST(1 AS int), CAST(1 AS double precision), CAST('a' AS varchar), CAST(ARRAY[1] AS array<bigint>), CAST(MAP(ARRAY[1], ARRAY[2]) AS map<bigint, double>)
--> "1","1.0","a","[1]","{1=2.0}"

-- intervals_as_texts
SELECT CAST(INTERVAL '2' DAY AS varchar), CAST(INTERVAL '3' MONTH AS varchar), CAST(INTERVAL '90' MINUTE AS varchar)
--> "2 00:00:00.000","0-3","0 01:30:00.000"

-- null_of_any_type
SELECT CAST(NULL AS integer), CAST(NULL AS date), CAST(NULL AS array(integer)), CAST(NULL AS json), CAST(NULL AS ROW(a integer))
--> ,,,,

-- reals
SELECT CAST(0.1e0 AS real), CAST('1.5' AS real), REAL '2.5' + 1, CAST(REAL '0.5' AS double)
--> "0.1","1.5","3.5","0.5"

-- typeof
SELECT typeof(123), typeof('cat'), typeof(1.5e0), typeof(DATE '2026-11-15'), typeof(ARRAY[1]), typeof(MAP(ARRAY['a'], ARRAY[1])), typeof(NULL)
--> "integer","varchar(3)","double","date","array(integer)","map(varchar(1), integer)","unknown"

-- typeof_of_expressions
SELECT typeof(1 + BIGINT '1'), typeof(DECIMAL '1.50'), typeof(count(*)), typeof(sum(quantity)), typeof(price), typeof(avg(quantity)) FROM sales GROUP BY price HAVING price = DECIMAL '3.20'
--> "bigint","decimal(3,2)","bigint","bigint","decimal(10,2)","double"

-- widths_meet
SELECT typeof(coalesce(TINYINT '1', 2)), typeof(if(true, 1, BIGINT '2')), typeof(CASE WHEN true THEN 1 ELSE 2e0 END), typeof(ARRAY[1, BIGINT '2'])
--> "integer","bigint","double","array(bigint)"

-- decimals_in_arithmetic
-- source: functions/decimal.html
SELECT DECIMAL '1.10' + DECIMAL '2.205', DECIMAL '1.5' * DECIMAL '2.25', DECIMAL '1' / DECIMAL '3', DECIMAL '10.0' / 4, DECIMAL '7.5' % DECIMAL '2'
--> "3.305","3.375","0","2.5","1.5"

-- integers_and_decimals
-- source: functions/decimal.html
SELECT 1 + DECIMAL '0.50', 3 * DECIMAL '1.20', DECIMAL '1.50' = DECIMAL '1.5', DECIMAL '2' > 1
--> "1.50","3.60","true","true"

-- decimals_with_doubles
-- source: functions/decimal.html
SELECT DECIMAL '1.5' + 1e0, DECIMAL '0.1' * 3e0 < 0.31e0, round(price * 1.1e0, 2) FROM sales WHERE id = 2
--> "2.5","true","4.4"

-- a_type_of_another_dialect_float
SELECT CAST(1 AS float)
--! TYPE_MISMATCH or TYPE_NOT_FOUND

-- a_type_of_another_dialect_string
SELECT CAST(1 AS string)
--! TYPE_MISMATCH or TYPE_NOT_FOUND

-- a_type_of_another_dialect_int4
SELECT CAST(1 AS int4)
--! TYPE_MISMATCH or TYPE_NOT_FOUND

-- a_type_of_another_dialect_bool
SELECT CAST(1 AS bool)
--! TYPE_MISMATCH or TYPE_NOT_FOUND

-- a_type_of_another_dialect_timestamptz
SELECT CAST('2026-11-15' AS timestamptz)
--! TYPE_MISMATCH or TYPE_NOT_FOUND

-- a_type_of_another_dialect_text
SELECT CAST(1 AS text)
--! TYPE_MISMATCH or TYPE_NOT_FOUND

-- a_type_of_another_dialect_datetime
SELECT CAST('2026-11-15' AS datetime)
--! TYPE_MISMATCH or TYPE_NOT_FOUND

-- a_cast_of_the_other_kind
SELECT '1'::integer
--! SYNTAX_ERROR

-- texts_that_are_no_integers
SELECT CAST('1.5' AS integer)
--! INVALID_CAST_ARGUMENT

-- an_empty_text_is_no_number
SELECT CAST('' AS double)
--! INVALID_CAST_ARGUMENT

-- a_number_too_large
SELECT CAST(x AS tinyint) FROM (VALUES 128) AS t (x)
--! NUMERIC_VALUE_OUT_OF_RANGE

-- a_text_too_large
SELECT CAST('3000000000' AS integer)
--! INVALID_CAST_ARGUMENT

-- a_decimal_too_large
SELECT CAST(x AS decimal(5,2)) FROM (VALUES 12345) AS t (x)
--! INVALID_CAST_ARGUMENT or NUMERIC_VALUE_OUT_OF_RANGE

-- a_date_from_a_number
SELECT CAST(20261115 AS date)
--! TYPE_MISMATCH

-- a_timestamp_from_a_text_with_a_t
SELECT CAST('2026-11-15T00:00:00' AS timestamp)
--! INVALID_CAST_ARGUMENT

-- an_array_from_a_text
SELECT CAST('[1,2]' AS array(integer))
--! TYPE_MISMATCH
