-- Functions that take a lambda.
-- source: functions/lambda.html

-- transform
SELECT transform(ARRAY[5, 6], x -> x + 1), transform(ARRAY['x', 'abc'], x -> x || '0'), transform(ARRAY[], x -> 1)
--> "[6, 7]","[x0, abc0]","[]"

-- transform_with_null
SELECT transform(ARRAY[5, NULL, 6], x -> coalesce(x, 0) + 1), transform(ARRAY[1, NULL], x -> x * 2), transform(CAST(NULL AS array(integer)), x -> x)
--> "[6, 1, 7]","[2, null]",

-- transform_to_another_type
SELECT transform(ARRAY[1, 2], x -> CAST(x AS varchar) || '%'), transform(ARRAY['a', 'bcd'], x -> length(x))
--> "[1%, 2%]","[1, 3]"

-- transform_that_takes_a_column
SELECT id, transform(ARRAY[1, 2], x -> x * quantity) FROM sales WHERE id IN (1, 8, 9) ORDER BY id
--> "1","[2, 4]"
--> "8","[null, null]"
--> "9","[3, 6]"

-- transform_of_a_column
SELECT id, transform(tags, t -> upper(t)) FROM sales WHERE id IN (1, 3, 4, 6) ORDER BY id
--> "1","[HOT, GREEN]"
--> "3","[]"
--> "4",
--> "6","[SWEET, null]"

-- transform_of_arrays_in_an_array
SELECT transform(ARRAY[ARRAY[1, NULL, 2], ARRAY[3, NULL]], a -> filter(a, x -> x IS NOT NULL)), transform(ARRAY[ARRAY[1, 2], ARRAY[3]], a -> reduce(a, 0, (s, x) -> s + x, s -> s))
--> "[[1, 2], [3]]","[3, 3]"

-- filter
SELECT filter(ARRAY[5, -6, NULL, 7], x -> x > 0), filter(ARRAY[5, NULL, 7, NULL], x -> x IS NOT NULL), filter(ARRAY['a', 'b'], x -> false)
--> "[5, 7]","[5, 7]","[]"

-- filter_of_a_column
SELECT id, filter(tags, t -> t LIKE '%e%') FROM sales WHERE id IN (1, 5, 6) ORDER BY id
--> "1","[green]"
--> "5","[iced, green]"
--> "6","[sweet]"

-- cardinality_of_a_filter
SELECT count_if(cardinality(filter(tags, t -> t = 'green')) > 0) FROM sales
--> "3"

-- reduce
SELECT reduce(ARRAY[5, 20, 50], 0, (s, x) -> s + x, s -> s), reduce(ARRAY[5, 20, NULL, 50], 0, (s, x) -> s + x, s -> s), reduce(ARRAY[5, 20, NULL, 50], 0, (s, x) -> s + coalesce(x, 0), s -> s)
--> "75",,"75"

-- reduce_of_nothing
SELECT reduce(CAST(ARRAY[] AS array(integer)), 0, (s, x) -> s + x, s -> s), reduce(ARRAY[1, 2], 10, (s, x) -> s - x, s -> -s)
--> "0","-7"

-- reduce_to_a_text
SELECT reduce(ARRAY['a', 'b', 'c'], CAST('' AS varchar), (s, x) -> s || x, s -> upper(s))
--> "ABC"

-- reduce_to_an_average
SELECT reduce(ARRAY[5, 6, 10, 20], CAST(ROW(0.0, 0) AS ROW(sum double, count integer)), (s, x) -> CAST(ROW(x + s.sum, s.count + 1) AS ROW(sum double, count integer)), s -> if(s.count = 0, NULL, s.sum / s.count))
--> "10.25"

-- any_match
SELECT any_match(ARRAY[1, 2], x -> x > 1), any_match(ARRAY[1], x -> x > 1), any_match(CAST(ARRAY[] AS array(integer)), x -> true), any_match(ARRAY[1, NULL], x -> x > 1), any_match(ARRAY[2, NULL], x -> x > 1)
--> "true","false","false",,"true"

-- all_match
SELECT all_match(ARRAY[2, 3], x -> x > 1), all_match(ARRAY[1, 2], x -> x > 1), all_match(CAST(ARRAY[] AS array(integer)), x -> false), all_match(ARRAY[2, NULL], x -> x > 1), all_match(ARRAY[1, NULL], x -> x > 1)
--> "true","false","true",,"false"

-- none_match
SELECT none_match(ARRAY[1], x -> x > 1), none_match(ARRAY[2], x -> x > 1), none_match(ARRAY[1, NULL], x -> x > 1)
--> "true","false",

-- any_match_in_a_condition
SELECT id FROM sales WHERE any_match(tags, t -> starts_with(t, 'g')) ORDER BY id
--> "1"
--> "5"
--> "8"
--> "9"
--> "10"

-- zip_with
SELECT zip_with(ARRAY[1, 2], ARRAY[3, 4], (x, y) -> x + y), zip_with(ARRAY['a', 'b'], ARRAY['d', 'e'], (x, y) -> concat(x, y))
--> "[4, 6]","[ad, be]"

-- zip_with_arrays_of_two_lengths
SELECT zip_with(ARRAY['a'], ARRAY['d', NULL, 'f'], (x, y) -> coalesce(x, y)), zip_with(ARRAY[1, 2], ARRAY[10], (x, y) -> x + y)
--> "[a, null, f]","[11, null]"

-- map_filter
SELECT map_filter(MAP(ARRAY[10, 20, 30], ARRAY['a', NULL, 'c']), (k, v) -> v IS NOT NULL), map_filter(MAP(ARRAY['k1', 'k2', 'k3'], ARRAY[20, 3, 15]), (k, v) -> v > 10)
--> "{10=a, 30=c}","{k1=20, k3=15}"

-- transform_values
SELECT transform_values(MAP(ARRAY[1, 2, 3], ARRAY[10, 20, 30]), (k, v) -> v + k), transform_values(MAP(ARRAY['a', 'b'], ARRAY[1, 2]), (k, v) -> k || CAST(v AS varchar))
--> "{1=11, 2=22, 3=33}","{a=a1, b=b2}"

-- transform_keys
SELECT transform_keys(MAP(ARRAY[1, 2], ARRAY['a', 'b']), (k, v) -> k + 1), transform_keys(MAP(ARRAY['a', 'b'], ARRAY[1, 2]), (k, v) -> upper(k))
--> "{2=a, 3=b}","{A=1, B=2}"

-- transform_keys_to_one_key
SELECT transform_keys(MAP(ARRAY['a', 'b'], ARRAY[1, 2]), (k, v) -> 'x')
--! INVALID_FUNCTION_ARGUMENT

-- map_zip_with_keys_of_one_map
SELECT element_at(m, 'k1'), element_at(m, 'k2'), element_at(m, 'k3') FROM (SELECT map_zip_with(MAP(ARRAY['k1', 'k2'], ARRAY[1, 2]), MAP(ARRAY['k2', 'k3'], ARRAY[4, 9]), (k, v1, v2) -> coalesce(v1, 0) - coalesce(v2, 0)) AS m)
--> "1","-2","-9"

-- array_sort_by_length
-- source: functions/array.html
SELECT array_sort(ARRAY['a', 'abcd', 'abc'], (x, y) -> if(length(x) < length(y), -1, if(length(x) = length(y), 0, 1)))
--> "[a, abc, abcd]"

-- array_sort_with_null_first
-- source: functions/array.html
SELECT array_sort(ARRAY[3, NULL, 1], (x, y) -> CASE WHEN x IS NULL THEN -1 WHEN y IS NULL THEN 1 WHEN x < y THEN 1 WHEN x = y THEN 0 ELSE -1 END)
--> "[null, 3, 1]"

-- a_name_that_is_also_a_column
SELECT transform(ARRAY[1, 2], id -> id * 10) FROM sales WHERE id = 7
--> "[10, 20]"

-- a_lambda_in_a_lambda_that_takes_both
SELECT transform(ARRAY[1, 2], x -> transform(ARRAY[10, 20], y -> x + y))
--> "[[11, 21], [12, 22]]"

-- a_lambda_with_case
SELECT transform(ARRAY[1, 5, 20], x -> CASE WHEN x < 3 THEN 'low' WHEN x < 10 THEN 'mid' ELSE 'high' END)
--> "[low, mid, high]"

-- fields_of_rows_in_a_lambda
SELECT transform(ARRAY[CAST(ROW(1, 'a') AS ROW(n integer, s varchar))], r -> r.s || CAST(r.n AS varchar)), filter(ARRAY[CAST(ROW(1, 'a') AS ROW(n integer, s varchar)), CAST(ROW(2, 'b') AS ROW(n integer, s varchar))], r -> r.n > 1)
--> "[a1]","[{n=2, s=b}]"

-- an_error_in_a_lambda
SELECT transform(ARRAY[1, 0], x -> 1 / x)
--! DIVISION_BY_ZERO

-- a_lambda_that_is_no_condition
SELECT filter(ARRAY[1, 2], x -> x + 1)
--! TYPE_MISMATCH or FUNCTION_NOT_FOUND

-- a_lambda_over_a_number
SELECT transform(5, x -> x)
--! FUNCTION_NOT_FOUND

-- an_unknown_name_in_a_lambda
SELECT transform(ARRAY[1], x -> y + 1)
--! COLUMN_NOT_FOUND
