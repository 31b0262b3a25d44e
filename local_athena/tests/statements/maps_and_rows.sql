-- Maps.
-- source: functions/map.html

-- subscript_of_a_map
SELECT MAP(ARRAY['a', 'b'], ARRAY[1, 2])['b'], MAP(ARRAY[1, 2], ARRAY['x', 'y'])[1]
--> "2","x"

-- subscript_of_a_missing_key
SELECT m['z'] FROM (VALUES MAP(ARRAY['a'], ARRAY[1])) AS t (m)
--! INVALID_FUNCTION_ARGUMENT

-- element_at_of_a_map
SELECT element_at(MAP(ARRAY['a'], ARRAY[1]), 'a'), element_at(MAP(ARRAY['a'], ARRAY[1]), 'z'), element_at(CAST(NULL AS map(varchar, integer)), 'a')
--> "1",,

-- cardinality_of_maps
SELECT cardinality(MAP(ARRAY['a', 'b'], ARRAY[1, NULL])), cardinality(MAP())
--> "2","0"

-- keys_and_values
SELECT map_keys(MAP(ARRAY['a', 'b'], ARRAY[1, 2])), map_values(MAP(ARRAY['a', 'b'], ARRAY[1, NULL]))
--> "[a, b]","[1, null]"

-- a_map_in_the_result
SELECT MAP(ARRAY['k1', 'k2'], ARRAY['v1', NULL]), MAP(), MAP(ARRAY['x'], ARRAY[ARRAY[1, 2]])
--> "{k1=v1, k2=null}","{}","{x=[1, 2]}"

-- a_column_of_maps
SELECT id, attributes, attributes['size'] AS size FROM sales WHERE id IN (1, 2, 6, 7) ORDER BY id
--# "id","attributes","size"
--> "1","{color=green, size=s}","s"
--> "2","{size=m}","m"
--> "6","{color=null, size=l}","l"
--> "7","{size=m}","m"

-- element_at_of_a_column
SELECT id, element_at(attributes, 'color') AS color FROM sales WHERE id IN (1, 2, 3, 4, 6) ORDER BY id
--> "1","green"
--> "2",
--> "3",
--> "4",
--> "6",

-- group_by_an_element
SELECT coalesce(element_at(attributes, 'size'), '?') AS size, count(*) AS n FROM sales GROUP BY 1 ORDER BY n DESC, size
--> "?","6"
--> "m","2"
--> "l","1"
--> "s","1"

-- condition_on_an_element
SELECT count(*) FROM sales WHERE element_at(attributes, 'color') = 'green'
--> "2"

-- keys_of_a_column
SELECT id, map_keys(attributes) FROM sales WHERE id IN (3, 4, 9) ORDER BY id
--> "3","[]"
--> "4",
--> "9","[gift]"

-- map_concat_takes_the_last
SELECT element_at(m, 'a'), element_at(m, 'b'), cardinality(m) FROM (SELECT map_concat(MAP(ARRAY['a'], ARRAY[1]), MAP(ARRAY['a', 'b'], ARRAY[2, 3])) AS m)
--> "2","3","2"

-- map_from_entries
SELECT map_from_entries(ARRAY[(1, 'x'), (2, 'y')])
--> "{1=x, 2=y}"

-- map_entries_unnested
SELECT k, v FROM UNNEST(map_entries(MAP(ARRAY['a', 'b'], ARRAY[1, 2]))) AS t (k, v) ORDER BY k
--> "a","1"
--> "b","2"

-- multimap_from_entries
SELECT element_at(multimap_from_entries(ARRAY[(1, 'x'), (2, 'y'), (1, 'z')]), 1)
--> "[x, z]"

-- equality_of_maps
SELECT MAP(ARRAY['a', 'b'], ARRAY[1, 2]) = MAP(ARRAY['b', 'a'], ARRAY[2, 1]), MAP(ARRAY['a'], ARRAY[1]) = MAP(ARRAY['a'], ARRAY[2])
--> "true","false"

-- cast_of_a_map
-- source: functions/conversion.html
SELECT CAST(MAP(ARRAY['a'], ARRAY[1]) AS map(varchar, varchar)), CAST(MAP(ARRAY['1'], ARRAY['2']) AS map(integer, double))
--> "{a=1}","{1=2.0}"

-- a_key_that_is_null
SELECT MAP(ARRAY['a', NULL], ARRAY[1, 2])
--! INVALID_FUNCTION_ARGUMENT

-- keys_without_values
SELECT MAP(ARRAY['a', 'b'], ARRAY[1])
--! INVALID_FUNCTION_ARGUMENT

-- order_by_a_map
SELECT attributes FROM sales ORDER BY attributes
--! TYPE_MISMATCH

-- split_to_map
-- source: functions/string.html
SELECT split_to_map('a=1;b=2', ';', '=')['b'], cardinality(split_to_map('', ',', '=')), split_to_map('k:v', ',', ':')
--> "2","0","{k=v}"

-- split_to_map_with_a_key_twice
-- source: functions/string.html
SELECT split_to_map('a=1,a=2', ',', '=')
--! INVALID_FUNCTION_ARGUMENT

-- split_to_multimap
-- source: functions/string.html
SELECT element_at(split_to_multimap('a=1,b=2,a=3', ',', '='), 'a')
--> "[1, 3]"

-- Rows and struct columns.
-- source: language/types.html#row

-- field_of_a_row
SELECT CAST(ROW(1, 'a') AS ROW(x integer, y varchar)).x, CAST(ROW(1, 'a') AS ROW(x integer, y varchar)).y
--> "1","a"

-- field_of_a_row_by_position
SELECT ROW(1, 'a')[1], ROW(1, 'a')[2]
--> "1","a"

-- field_of_a_struct
SELECT id, customer.name FROM sales WHERE id IN (1, 6, 7, 10) ORDER BY id
--# "id","name"
--> "1","Aiko"
--> "6",
--> "7","Dora"
--> "10",""

-- field_of_a_struct_in_a_struct
SELECT id, customer.address.city AS city, customer.address.zip AS zip FROM sales WHERE id IN (1, 3, 6, 8, 10) ORDER BY id
--> "1","Kyoto","600"
--> "3","Reno",
--> "6",,
--> "8",,
--> "10","",""

-- field_with_the_name_of_the_table
SELECT s.customer.id, sales.product FROM sales AS s JOIN sales ON s.id = sales.id WHERE s.id = 9
--> "1","cake"

-- group_by_a_field
SELECT customer.id AS customer, count(*) AS n, sum(quantity * price) AS amount FROM sales WHERE customer.id IS NOT NULL GROUP BY customer.id ORDER BY amount DESC
--> "1","3","48.25"
--> "5","1","20.00"
--> "2","2","19.00"
--> "3","1","17.50"
--> "4","2","9.00"

-- condition_on_a_field
SELECT id FROM sales WHERE customer.address.city = 'Kyoto' AND customer.name LIKE 'A%' ORDER BY id
--> "1"
--> "4"
--> "9"

-- order_by_a_field
SELECT id FROM sales WHERE id IN (1, 2, 3) ORDER BY customer.name DESC
--> "3"
--> "2"
--> "1"

-- a_struct_in_the_result
SELECT id, customer FROM sales WHERE id IN (1, 3, 6, 8) ORDER BY id
--> "1","{id=1, name=Aiko, address={city=Kyoto, zip=600}}"
--> "3","{id=3, name=Cy, address={city=Reno, zip=null}}"
--> "6",
--> "8","{id=4, name=Dora, address=null}"

-- everything_of_a_table_with_nested_columns
SELECT * FROM sales WHERE id = 2
--# "id","sold_on","sold_at","country","product","quantity","price","tags","customer","attributes"
--> "2","2026-11-02","2026-11-02 10:30:00.000","JP","coffee","1","4.00","[hot]","{id=2, name=Ben, address={city=Osaka, zip=530}}","{size=m}"

-- everything_of_a_row
-- source: sql/select.html#select-clause
SELECT customer.* FROM sales WHERE id = 1
--# "id","name","address"
--> "1","Aiko","{city=Kyoto, zip=600}"

-- everything_of_a_row_with_names
-- here: SYNTAX_ERROR
-- source: sql/select.html#select-clause
SELECT (CAST(ROW(1, true) AS ROW(field1 bigint, field2 boolean))).* AS (a, b)
--# "a","b"
--> "1","true"

-- is_null_of_a_struct
SELECT count_if(customer IS NULL), count_if(customer.address IS NULL), count(customer), count(customer.name) FROM sales
--> "1","2","9","9"

-- equality_of_rows
SELECT ROW(1, 'a') = ROW(1, 'a'), ROW(1, 'a') <> ROW(1, 'b'), (1, 2) = (1, 3)
--> "true","true","false"

-- equality_of_rows_with_null
SELECT ROW(1, NULL) = ROW(1, 2), ROW(1, NULL) = ROW(2, 2), ROW(1, 2) IS NULL
--> ,"false","false"

-- order_of_rows
SELECT (1, 2) < (1, 3), (2, 1) < (1, 3), (1, 'b') >= (1, 'a')
--> "true","false","true"

-- rows_in_a_list
SELECT id FROM sales WHERE (country, product) IN (('JP', 'coffee'), ('US', 'cake')) ORDER BY id
--> "2"
--> "10"

-- rows_in_a_subquery
SELECT count(*) FROM sales WHERE (country, product) IN (SELECT country, product FROM sales WHERE id = 1)
--> "2"

-- distinct_structs
SELECT count(*) FROM (SELECT DISTINCT customer FROM sales)
--> "7"

-- an_array_of_structs
SELECT array_agg(customer ORDER BY id) FROM sales WHERE id IN (2, 8)
--> "[{id=2, name=Ben, address={city=Osaka, zip=530}}, {id=4, name=Dora, address=null}]"

-- fields_of_an_array_of_structs
SELECT transform(array_agg(customer ORDER BY id), c -> c.name) FROM sales WHERE id < 4
--> "[Aiko, Ben, Cy]"

-- a_map_of_structs
SELECT MAP(ARRAY['a'], ARRAY[CAST(ROW(1, 'x') AS ROW(n integer, s varchar))])['a'].s
--> "x"

-- cast_of_a_row
SELECT CAST(CAST(ROW(1, 2) AS ROW(a integer, b integer)) AS ROW(c varchar, d double))
--> "{c=1, d=2.0}"

-- a_row_with_quoted_fields
SELECT CAST(ROW(1, 2) AS ROW("a b" integer, "Total" integer))."a b"
--> "1"

-- an_unknown_field
SELECT customer.age FROM sales
--! COLUMN_NOT_FOUND

-- a_field_of_a_number
SELECT id.name FROM sales
--! COLUMN_NOT_FOUND or TYPE_MISMATCH

-- a_cast_to_a_row_of_another_size
SELECT CAST(ROW(1, 2) AS ROW(a integer))
--! TYPE_MISMATCH

-- a_comparison_of_rows_of_two_sizes
SELECT ROW(1, 2) = ROW(1, 2, 3)
--! TYPE_MISMATCH
