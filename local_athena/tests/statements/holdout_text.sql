-- Texts, regular expressions, URLs, JSON and hashes.
-- source: functions/string.html

-- cleaning_of_names
SELECT trim(lower('  Green TEA ')), regexp_replace(trim('  a   b  '), '\s+', ' '), replace('a-b-c', '-'), upper(substr('kyoto', 1, 1)) || substr('kyoto', 2)
--> "green tea","a b","abc","Kyoto"

-- trims_of_characters
SELECT trim(BOTH 'x' FROM 'xxaxx'), trim(LEADING '0' FROM '00120'), rtrim('a  ') || '|', ltrim('  a'), trim(TRAILING FROM 'b ') || '|'
--> "a","120","a|","a","b|"

-- substrings_from_the_end
SELECT substr('abcdef', -2), substring('abcdef', 2, 3), substring('abcdef' FROM 3 FOR 2), substr('abc', 10), substr('abc', 0)
--> "ef","bcd","cd","",""

-- positions_of_texts
SELECT strpos('a/b/c', '/'), strpos('a/b/c', '/', 2), strpos('abc', 'z'), position('b' IN 'abc'), strpos('abc', '')
--> "2","4","0","2","1"

-- split_and_parts
SELECT split('a,b,,c', ','), split('a,b,c', ',', 2), split_part('a,b,c', ',', 3), split_part('a,b', ',', 5), cardinality(split('', ','))
--> "[a, b, , c]","[a, b,c]","c",,"1"

-- split_to_map_of_a_query
SELECT split_to_map('a=1&b=2', '&', '=')['b'], element_at(split_to_map('a=1', '&', '='), 'z')
--> "2",

-- pads_and_cuts
SELECT lpad('7', 3, '0'), rpad('ab', 5, 'xy'), lpad('abcdef', 3, '0'), reverse('abc'), length('日本'), concat('a', 'b', 'c')
--> "007","abxyx","abc","cba","2","abc"

-- concat_of_nulls
SELECT 'a' || CAST(NULL AS varchar), concat('a', CAST(NULL AS varchar)), concat_ws(',', 'a', NULL, 'b'), coalesce('a' || CAST(NULL AS varchar), 'none')
--> ,,"a,b","none"

-- like_with_escapes
SELECT 'a_b' LIKE 'a\_b' ESCAPE '\', 'axb' LIKE 'a\_b' ESCAPE '\', '100%' LIKE '%$%' ESCAPE '$', 'Tea' LIKE 'tea', 'tea' NOT LIKE 't_', 'ab' LIKE 'ab%'
--> "true","false","true","false","true","true"

-- starts_and_ends
SELECT starts_with('s3://lake/a', 's3://'), 'a.parquet' LIKE '%.parquet', 'abc' BETWEEN 'abb' AND 'abd', 'B' < 'a'
--> "true","true","true","true"

-- translate_and_codes
SELECT translate('a.b-c', '.-', '__'), translate('abc', 'b', ''), chr(65), codepoint('A')
--> "a_b_c","ac","A","65"

-- format_of_values
SELECT format('%s-%05d', 'a', 42), format('%.2f', 3.14159e0), format('%,d', 1234567), format('%d%%', 12), format('%10s|%-5s|', 'ab', 'c')
--> "a-00042","3.14","1,234,567","12%","        ab|c    |"

-- regexp_extract_of_groups
SELECT regexp_extract('GET /shop/tea HTTP/1.1', '^(\w+) (\S+)', 2), regexp_extract('order 123 and 456', '\d+'), regexp_extract('abc', '\d+'), regexp_extract('k=v', '(\w)=(\w)?(x)?', 3)
--> "/shop/tea","123",,

-- regexp_extract_all_and_split
SELECT regexp_extract_all('a1b22', '\d+'), regexp_extract_all('a1b22', '([a-z])(\d+)', 2), regexp_split('a, b;c', '[,;]\s*'), regexp_count('1a 2b 14m', '\s*[a-z]+\s*')
--> "[1, 22]","[1, 22]","[a, b, c]","3"

-- regexp_like_ignores_case
SELECT regexp_like('Mozilla/5.0 (iPhone; CPU)', '(?i)iphone|ipad'), regexp_like('abc', '^b'), regexp_like('2026-11-15', '^\d{4}-\d{2}-\d{2}$'), NOT regexp_like('bot', 'bot|crawler')
--> "true","false","true","false"

-- regexp_replace_with_groups
SELECT regexp_replace('2026-11-15', '(\d+)-(\d+)-(\d+)', '$3.$2.$1'), regexp_replace('1a 2b', '\d'), regexp_replace('a.b', '\.', '\$'), regexp_replace('user/123/orders/456', '/\d+', '/{id}')
--> "15.11.2026","a b","a$b","user/{id}/orders/{id}"

-- classes_of_user_agents
SELECT CASE WHEN regexp_like(ua, '(?i)bot|spider') THEN 'bot' WHEN ua LIKE '%Mobile%' THEN 'mobile' WHEN ua IS NULL OR ua IN ('', '-') THEN 'unknown' ELSE 'desktop' END AS device, count(*) AS n
FROM (VALUES 'Googlebot/2.1', 'Mozilla/5.0 Mobile Safari', NULL, '-', 'Mozilla/5.0 Chrome') AS t (ua) GROUP BY 1 ORDER BY n DESC, device
--> "unknown","2"
--> "bot","1"
--> "desktop","1"
--> "mobile","1"

-- not_common_string_functions
-- here: NOT_SUPPORTED
SELECT luhn_check('79927398713'), word_stem('running'), normalize('é', NFC) = 'é', from_utf8(to_utf8('tea'))
--> "true","run","true","tea"

-- urls_of_visits
-- source: functions/url.html
SELECT url_extract_host(url) AS host, url_extract_path(url) AS path, url_extract_parameter(url, 'ref') AS ref, count(*) AS n FROM visits WHERE url LIKE 'http%' GROUP BY 1, 2, 3 ORDER BY host, path, ref
--> "blog.example.org","/",,"1"
--> "example.com","/",,"1"
--> "example.com","/cart",,"1"
--> "example.com","/shop/cake",,"1"
--> "example.com","/shop/tea","ad","1"
--> "example.com","/shop/tea","mail","1"

-- parts_of_a_url
-- source: functions/url.html
SELECT url_extract_protocol(u), url_extract_port(u), url_extract_query(u), url_extract_fragment(u), url_extract_parameter(u, 'q'), url_decode('a%20b%2Bc'), url_encode('a b/ü')
FROM (VALUES 'https://example.com:8443/p/a?x=1&q=green%20tea#top') AS t (u)
--> "https","8443","x=1&q=green tea","top","green tea","a b+c","a+b%2F%C3%BC"

-- domain_of_a_host
-- source: functions/array.html
SELECT array_join(slice(split(url_extract_host(url), '.'), -2, 2), '.') AS domain, count(*) AS n FROM visits WHERE url_extract_host(url) IS NOT NULL GROUP BY 1 ORDER BY 1
--> "","1"
--> "example.com","5"
--> "example.org","1"

-- utm_parameters_by_regexp
SELECT coalesce(nullif(regexp_extract(q, '(?:^|&)utm_source=([^&]*)', 1), ''), '(none)') AS source, count(*) AS n
FROM (VALUES 'utm_source=mail&x=1', 'x=1&utm_source=mail', 'utm_source=', 'x=1') AS t (q) GROUP BY 1 ORDER BY 1
--> "(none)","2"
--> "mail","2"

-- json_events_of_visits
-- source: functions/json.html
SELECT json_extract_scalar(event, '$.type') AS type, count(*) AS n, sum(CAST(json_extract_scalar(event, '$.item.price') AS double)) AS price
FROM visits WHERE event LIKE '{%' GROUP BY 1 ORDER BY 1
--> "buy","2","13.0"
--> "view","3","3.5"

-- json_of_missing_and_wrong
-- source: functions/json.html
SELECT json_extract_scalar('{"a":null}', '$.a'), json_extract_scalar('{"a":{"b":1}}', '$.a'), json_extract_scalar('not json', '$.a'), json_extract_scalar('{"a":[1,2]}', '$.a[1]'), json_extract('{"a":{"b":1}}', '$.a')
--> ,,,"2","{""b"":1}"

-- json_arrays_of_objects_are_unnested
-- source: functions/json.html
SELECT json_extract_scalar(item, '$.sku') AS sku, CAST(json_extract(item, '$.n') AS integer) AS n
FROM (VALUES '{"items":[{"sku":"a","n":2},{"sku":"b","n":3}]}') AS t (v) CROSS JOIN UNNEST(CAST(json_extract(v, '$.items') AS array(json))) AS u (item) ORDER BY 1
--> "a","2"
--> "b","3"

-- json_to_maps_and_rows
-- source: functions/json.html
SELECT CAST(json_parse('{"a":1,"b":2}') AS map(varchar, integer))['b'], CAST(JSON '{"name":"tea","price":3.5}' AS row(name varchar, price double)).price, CAST(JSON '[1,2,null]' AS array(integer))
--> "2","3.5","[1, 2, null]"

-- values_to_json
-- source: functions/json.html
SELECT json_format(CAST(ARRAY[1, 2, NULL] AS json)), json_format(CAST(MAP(ARRAY['a'], ARRAY[1.5e0]) AS json)), CAST(CAST('x' AS json) AS varchar), json_format(CAST(CAST(ROW(1, 'a') AS row(id integer, name varchar)) AS json))
--> "[1,2,null]","{""a"":1.5}","x","{""id"":1,""name"":""a""}"

-- json_lengths_and_contents
-- source: functions/json.html
SELECT json_array_length('[1,2,3]'), json_array_contains('[1,"a"]', 'a'), json_size('{"a":{"b":1,"c":2}}', '$.a'), json_array_get('["a",7]', 1), is_json_scalar('1')
--> "3","true","2","7","true"

-- json_keys_with_dots_and_spaces
-- source: functions/json.html
SELECT json_extract_scalar('{"a b":{"c.d":"x"}}', '$["a b"]["c.d"]'), json_extract_scalar('[{"a":1},{"a":2}]', '$[1].a'), json_extract_scalar('{"n":1.50,"t":true}', '$.t'), json_extract_scalar('{"s":"\u00e9\n"}', '$.s') = 'é' || chr(10)
--> "x","2","true","true"

-- json_is_counted_by_key
-- source: functions/json.html
SELECT k, count(*) AS n FROM visits CROSS JOIN UNNEST(map_keys(CAST(try(json_parse(event)) AS map(varchar, json)))) AS t (k) GROUP BY k ORDER BY k
--> "item","4"
--> "tags","1"
--> "type","5"

-- hashes_of_texts
-- source: functions/binary.html
SELECT to_hex(md5(to_utf8('a'))), lower(to_hex(sha256(to_utf8('')))), to_base64(to_utf8('tea')), from_utf8(from_base64('dGVh')), to_hex(sha1(to_utf8('abc')))
--> "0CC175B9C0F1B6A831C399E269772661","e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","dGVh","tea","A9993E364706816ABA3E25717850C26C9CD0D89D"

-- flags_by_bits
-- source: functions/bitwise.html
SELECT bitwise_and(flags, 4) <> 0 AS has_four, bitwise_or(flags, 1), bitwise_xor(flags, 7), bit_count(flags, 64), bitwise_left_shift(1, 3), bitwise_not(5) FROM (VALUES 6) AS t (flags)
--> "true","7","1","2","8","-6"

-- bases_of_numbers
-- source: functions/math.html
SELECT to_base(255, 16), from_base('ff', 16), from_base('101', 2), to_hex(from_hex('0aFF'))
--> "ff","255","5","0AFF"

-- the_end_of_a_text_in_a_pattern
-- source: functions/regexp.html
SELECT regexp_replace('/a?b=c', '\?.*$', ''), regexp_replace('/a/b/', '^/|/$', ''), regexp_replace('a/' || chr(10), '/$', '!') = 'a!' || chr(10), regexp_replace('x12', '(\d)(\d)$', '$2$1'), regexp_extract('x.csv.gz', '[^.]+$')
--> "/a","a/b","true","x21","gz"

-- rows_without_names_as_json
-- source: functions/json.html
SELECT json_format(CAST(ROW(1, 'a') AS json)), json_format(CAST(CAST(ROW(1, 'a') AS row(x integer, y varchar)) AS json))
--> "{"""":1,"""":""a""}","{""x"":1,""y"":""a""}"

-- the_end_of_a_text_in_one_of_two_patterns
-- source: functions/regexp.html
SELECT regexp_extract('a x', 'a|b$'), regexp_extract('xb', 'a|b$')
--> "a","b"

-- dollars_in_a_pattern
-- source: functions/regexp.html
SELECT regexp_replace('US$5', '\$(\d)', 'D$1'), regexp_replace('a$b$', '[$]', ''), regexp_extract('cost $12', '\$(\d+)$', 1), regexp_split('1$2', '\$')
--> "USD5","ab","12","[1, 2]"

-- values_of_json_in_json
-- source: functions/json.html
SELECT json_format(CAST(MAP(ARRAY['a', 'b'], ARRAY[CAST(1 AS json), NULL]) AS json)), json_format(CAST(ARRAY[JSON '{"x":1}', CAST('y' AS json)] AS json)), json_format(CAST(map_agg(dt, json_extract(event, '$.type')) AS json)) FROM visits WHERE ms IN (40, 80)
--> "{""a"":1,""b"":null}","[{""x"":1},""y""]","{""2026-11-13"":""buy"",""2026-11-15"":null}"
