-- JSON.
-- source: functions/json.html

-- extract_scalar
SELECT json_extract_scalar('{"a": "x", "b": {"c": 5}}', '$.a'), json_extract_scalar('{"a": "x", "b": {"c": 5}}', '$.b.c')
--> "x","5"

-- extract_scalar_of_an_array
SELECT json_extract_scalar('[1, 2, 3]', '$[2]'), json_extract_scalar('{"store": {"book": [{"author": "Poe"}]}}', '$.store.book[0].author'), json_extract_scalar('[1]', '$[5]')
--> "3","Poe",

-- extract_scalar_by_a_quoted_key
SELECT json_extract_scalar('{"book name": 1, "a.b": 2}', '$["book name"]'), json_extract_scalar('{"book name": 1, "a.b": 2}', '$["a.b"]')
--> "1","2"

-- extract_scalar_types
SELECT json_extract_scalar('{"x": true}', '$.x'), json_extract_scalar('{"x": 1.5}', '$.x'), json_extract_scalar('{"x": ""}', '$.x'), json_extract_scalar('{"x": null}', '$.x')
--> "true","1.5","",

-- extract_scalar_of_what_is_not_a_scalar
SELECT json_extract_scalar('{"x": {"y": 1}}', '$.x'), json_extract_scalar('{"x": [1]}', '$.x'), json_extract_scalar('{"x": 1}', '$.y')
--> ,,

-- extract_scalar_of_null_and_of_bad_json
SELECT json_extract_scalar(CAST(NULL AS varchar), '$.x'), json_extract_scalar('not json', '$.x')
--> ,

-- extract_scalar_with_escapes
SELECT json_extract_scalar('{"x": "a\"b", "y": "\u00e9"}', '$.x'), json_extract_scalar('{"x": "a\"b", "y": "\u00e9"}', '$.y')
--> "a""b","é"

-- extract_scalar_of_a_column
SELECT user_id, json_extract_scalar(event, '$.type') AS type, json_extract_scalar(event, '$.item.id') AS item FROM visits ORDER BY dt, user_id, ms
--> "u1","view","7"
--> "u2","buy","9"
--> "u1","view",
--> "u1","buy","7"
--> "u3",,
--> "u2","view",
--> ,,

-- extract_scalar_grouped
SELECT json_extract_scalar(event, '$.type') AS type, count(*) AS n FROM visits GROUP BY 1 ORDER BY n DESC, type
--> "view","3"
--> "buy","2"
--> ,"2"

-- extract_scalar_summed
SELECT sum(CAST(json_extract_scalar(event, '$.item.price') AS double)) AS total FROM visits WHERE json_extract_scalar(event, '$.type') = 'buy'
--> "13.0"

-- extract_gives_json
SELECT json_extract('{"a": {"b": 1}}', '$.a'), json_extract('{"a": "x"}', '$.a'), json_extract('{"a": [1, 2]}', '$.a'), json_extract('{"a": 1}', '$.z')
--> "{""b"":1}","""x""","[1,2]",

-- extract_keeps_a_null_of_json
SELECT json_extract('{"a": null}', '$.a'), json_extract('{"a": null}', '$.a') IS NULL
--> "null","false"

-- extract_of_bad_json_is_null
SELECT json_extract('nothing', '$.a') IS NULL
--> "true"

-- extract_by_a_bad_path
SELECT json_extract('{"a": 1}', 'a')
--! INVALID_FUNCTION_ARGUMENT

-- extract_then_cast
SELECT CAST(json_extract('{"a": [1, 2, 3]}', '$.a') AS array(integer)), CAST(json_extract('{"a": 7}', '$.a') AS integer)
--> "[1, 2, 3]","7"

-- array_length
SELECT json_array_length('[1, 2, 3]'), json_array_length('[]'), json_array_length('{"a": 1}'), json_array_length('bad')
--> "3","0",,

-- array_contains
SELECT json_array_contains('[1, 2, 3]', 2), json_array_contains('["a", "b"]', 'z'), json_array_contains('[true]', true)
--> "true","false","true"

-- array_get
SELECT json_array_get('["a", [3, 9], "c"]', 1), json_array_get('[5, 6]', -1), json_array_get('[]', 0)
--> "[3,9]","6",

-- json_size
SELECT json_size('{"x": {"a": 1, "b": 2}}', '$.x'), json_size('{"x": [1, 2, 3]}', '$.x'), json_size('{"x": {"a": 1}}', '$.x.a'), json_size('{"x": 1}', '$.y')
--> "2","3","0",

-- is_json_scalar
SELECT is_json_scalar('1'), is_json_scalar('"x"'), is_json_scalar('[1]'), is_json_scalar('null')
--> "true","true","false","true"

-- json_parse
SELECT json_parse('[1, 2, 3]'), json_parse('"abc"'), json_parse('{"a": {"b": null}}'), json_parse('42')
--> "[1,2,3]","""abc""","{""a"":{""b"":null}}","42"

-- json_parse_of_bad_json
SELECT json_parse('not json')
--! INVALID_FUNCTION_ARGUMENT

-- json_parse_of_nothing
SELECT json_parse('')
--! INVALID_FUNCTION_ARGUMENT

-- json_format
SELECT json_format(JSON '[1, 2, 3]'), json_format(JSON '"a"'), json_format(json_parse('{"x": true}')), json_format(JSON 'null')
--> "[1,2,3]","""a""","{""x"":true}","null"

-- json_format_is_a_text
SELECT length(json_format(json_parse('{ "a" : 1 }'))), json_format(CAST(ARRAY['x', 'y'] AS json)) LIKE '["x%'
--> "7","true"

-- cast_to_json
SELECT CAST(1 AS json), CAST('abc' AS json), CAST(true AS json), CAST(NULL AS json), CAST(1.5e0 AS json), CAST(9223372036854775807 AS json)
--> "1","""abc""","true",,"1.5","9223372036854775807"

-- cast_of_a_text_does_not_parse_it
SELECT CAST('[1, 2]' AS json), CAST('null' AS json)
--> """[1, 2]""","""null"""

-- cast_of_arrays_to_json
SELECT CAST(ARRAY[1, 23, 456] AS json), CAST(ARRAY[1, NULL] AS json), CAST(ARRAY[ARRAY[1], ARRAY[2, 3]] AS json), CAST(ARRAY['a'] AS json)
--> "[1,23,456]","[1,null]","[[1],[2,3]]","[""a""]"

-- cast_of_maps_to_json
SELECT CAST(MAP(ARRAY['k1', 'k2'], ARRAY[1, 23]) AS json), CAST(MAP(ARRAY['k'], ARRAY[ARRAY[true]]) AS json)
--> "{""k1"":1,""k2"":23}","{""k"":[true]}"

-- cast_of_rows_to_json
SELECT CAST(CAST(ROW(123, 'abc', true) AS ROW(v1 bigint, v2 varchar, v3 boolean)) AS json)
--> "{""v1"":123,""v2"":""abc"",""v3"":true}"

-- cast_of_a_struct_to_json
SELECT json_format(CAST(customer AS json)) FROM sales WHERE id = 3
--> "{""id"":3,""name"":""Cy"",""address"":{""city"":""Reno"",""zip"":null}}"

-- cast_of_an_aggregate_to_json
SELECT CAST(array_agg(DISTINCT product ORDER BY product) AS json) FROM sales
--> "[""cake"",""coffee"",""tea""]"

-- cast_of_decimals_and_dates_to_json
SELECT CAST(DECIMAL '1.25' AS json), CAST(DATE '2026-11-15' AS json), CAST(TIMESTAMP '2026-11-15 01:02:03.000' AS json)
--> "1.25","""2026-11-15""","""2026-11-15 01:02:03.000"""

-- cast_from_json
SELECT CAST(JSON '1' AS integer), CAST(JSON '"abc"' AS varchar), CAST(JSON 'true' AS boolean), CAST(JSON '1.234' AS double), CAST(JSON 'null' AS varchar)
--> "1","abc","true","1.234",

-- cast_from_json_to_text
SELECT CAST(JSON '42' AS varchar), CAST(JSON 'true' AS varchar), CAST(json_parse('"x"') AS varchar)
--> "42","true","x"

-- cast_from_json_to_arrays
SELECT CAST(JSON '[1,null,456]' AS array(integer)), CAST(JSON '[[1,23],[456]]' AS array(array(integer))), CAST(JSON '["a", "b"]' AS array(varchar))
--> "[1, null, 456]","[[1, 23], [456]]","[a, b]"

-- cast_from_json_to_maps
SELECT CAST(JSON '{"k1":1,"k2":23}' AS map(varchar, integer)), CAST(json_parse('{"a": "x"}') AS map(varchar, varchar))['a']
--> "{k1=1, k2=23}","x"

-- cast_from_json_to_rows
SELECT CAST(JSON '{"v1":123,"v2":"abc","v3":true}' AS ROW(v1 bigint, v2 varchar, v3 boolean)), CAST(JSON '[1,"x"]' AS ROW(a integer, b varchar))
--> "{v1=123, v2=abc, v3=true}","{a=1, b=x}"

-- cast_from_json_to_a_row_with_a_missing_field
SELECT CAST(JSON '{"a":1}' AS ROW(a integer, b varchar))
--> "{a=1, b=null}"

-- cast_from_json_text_to_number
SELECT CAST(JSON '"12"' AS integer), CAST(JSON '"1.5"' AS double)
--> "12","1.5"

-- cast_of_an_object_to_text
SELECT CAST(JSON '{"a": 1}' AS varchar)
--! INVALID_CAST_ARGUMENT

-- cast_of_json_to_the_wrong_type
SELECT CAST(JSON '"abc"' AS integer)
--! INVALID_CAST_ARGUMENT

-- unnest_json
SELECT x FROM UNNEST(CAST(json_parse('[3, 1, 2]') AS array(integer))) AS t (x) ORDER BY x
--> "1"
--> "2"
--> "3"

-- unnest_json_of_a_column
SELECT user_id, tag FROM visits CROSS JOIN UNNEST(CAST(json_extract(event, '$.tags') AS array(varchar))) AS t (tag) ORDER BY tag
--> "u2","gift"
--> "u2","new"

-- unnest_json_objects
SELECT name, n FROM UNNEST(CAST(json_parse('[{"name": "a", "n": 1}, {"name": "b"}]') AS array(ROW(name varchar, n integer)))) AS t (name, n) ORDER BY name
--> "a","1"
--> "b",

-- json_in_try
SELECT try(json_parse('bad')), try(CAST(json_extract('{"a": "x"}', '$.a') AS integer)), try(json_extract_scalar(json_parse('{"a": 1}'), '$.a'))
--> ,,"1"

-- json_equality
SELECT JSON '1' = JSON '1', json_parse('[1, 2]') = JSON '[1,2]', json_parse('"a"') = JSON '"b"'
--> "true","true","false"

-- json_of_a_group
SELECT product, json_format(CAST(MAP(ARRAY['n'], ARRAY[count(*)]) AS json)) AS j FROM sales GROUP BY product ORDER BY product
--> "cake","{""n"":3}"
--> "coffee","{""n"":3}"
--> "tea","{""n"":4}"

-- The functions of the SQL standard.
-- source: functions/json.html

-- json_value
-- here: NOT_SUPPORTED
SELECT json_value('{"a": {"b": "x"}}', 'lax $.a.b'), json_value('{"a": 1}', 'lax $.z'), json_value('{"a": 7}', 'lax $.a' RETURNING integer)
--> "x",,"7"

-- json_query
SELECT json_query('{"a": [1, 2]}', 'lax $.a'), json_query('{"a": {"b": 1}}', 'lax $.a')
--> "[1,2]","{""b"":1}"

-- json_exists
-- here: NOT_SUPPORTED
SELECT json_exists('{"a": 1}', 'lax $.a'), json_exists('{"a": 1}', 'lax $.b'), json_exists('{"a": [1, 5]}', 'lax $.a[*]?(@ > 3)')
--> "true","false","true"

-- json_object_and_json_array
-- here: NOT_SUPPORTED
SELECT json_object('key1' VALUE 1, 'key2' VALUE true), json_array(true, 'text', 5), json_array(), json_object()
--> "{""key1"":1,""key2"":true}","[true,""text"",5]","[]","{}"

-- paths_of_the_standard_in_lax_mode
-- source: functions/json.html
SELECT json_value('{"a": {"b": "x"}}', 'lax $.a.b'), json_value('{"a": 7}', 'lax $."a"'), json_value('{"a": [1, 2]}', 'lax $.a'), json_value('{"a": true}', 'lax $.b'), json_value('not json', 'lax $.a')
--> "x","7",,,

-- paths_go_into_the_elements_of_arrays
-- source: functions/json.html
SELECT json_exists('[{"a": 1}, {"b": 2}]', 'lax $.b'), json_exists('{"a": 1}', 'lax $[0].a'), json_exists('{"a": 1}', 'lax $.a.b'), json_exists('{', 'lax $'), json_exists(NULL, 'lax $.a')
--> "true","true","false","false",

-- json_query_of_escapes
-- source: functions/json.html
SELECT json_query('{"a": ["\\u00ab", "\u001f"]}', 'lax $.a')
--> "[""\\u00ab"",""\u001F""]"

-- json_query_of_arrays_and_objects
-- source: functions/json.html
SELECT json_query('{"a": [1, {"b": "é"}]}', 'lax $.a'), json_query('{"a": 1}', 'lax $.b')
--> "[1,{""b"":""é""}]",
