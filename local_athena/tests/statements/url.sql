-- URLs.
-- source: functions/url.html

-- parts_of_a_url
SELECT url_extract_protocol(u), url_extract_host(u), url_extract_port(u), url_extract_path(u), url_extract_query(u), url_extract_fragment(u) FROM (VALUES 'https://example.com:8080/a/b.html?k1=v1&k2=v2#top') AS t (u)
--> "https","example.com","8080","/a/b.html","k1=v1&k2=v2","top"

-- parts_that_are_not_there
SELECT url_extract_port(u), url_extract_path(u), url_extract_query(u), url_extract_fragment(u) FROM (VALUES 'http://example.com') AS t (u)
--> ,"","",""

-- parts_of_a_path_alone
SELECT url_extract_protocol('foo'), url_extract_host('foo'), url_extract_path('foo')
--> "","","foo"

-- not_a_url
SELECT url_extract_host('http://example.com/^'), url_extract_path('http://example.com/^'), url_extract_host(NULL)
--> ,,

-- parameters
SELECT url_extract_parameter(u, 'k1'), url_extract_parameter(u, 'k2'), url_extract_parameter(u, 'k3'), url_extract_parameter(u, 'k4') FROM (VALUES 'http://example.com/p?k1=v1&k2&k1=v2#k4=x') AS t (u)
--> "v1","",,

-- parameters_of_a_column
SELECT url_extract_parameter(url, 'ref') AS ref, count(*) AS n FROM visits GROUP BY 1 ORDER BY ref
--> "ad","1"
--> "mail","1"
--> ,"5"

-- hosts_of_a_column
SELECT url_extract_host(url) AS host, count(*) AS n FROM visits GROUP BY 1 ORDER BY n DESC, host
--> "example.com","5"
--> "","1"
--> "blog.example.org","1"

-- paths_of_a_column
SELECT url_extract_path(url) AS path, count(*) AS n FROM visits WHERE dt = '2026-11-14' GROUP BY url_extract_path(url) ORDER BY path
--> "/","1"
--> "/cart","1"
--> "/shop/tea","1"

-- ports_of_a_column
SELECT url_extract_port(url) AS port, count(*) AS n FROM visits GROUP BY 1 ORDER BY port
--> "8443","1"
--> ,"6"

-- encode
SELECT url_encode('http://test?a=b&c=d'), url_encode('a b.-*_~'), url_encode('é'), url_encode('')
--> "http%3A%2F%2Ftest%3Fa%3Db%26c%3Dd","a+b.-*_%7E","%C3%A9",""

-- decode
SELECT url_decode('http%3A%2F%2Ftest%3Fa%3Db'), url_decode('a+b%20c'), url_decode('%E6%97%A5'), url_decode('plain')
--> "http://test?a=b","a b c","日","plain"

-- decode_is_the_inverse_of_encode
SELECT url_decode(url_encode('a b/c?d=é&%+')) = 'a b/c?d=é&%+'
--> "true"

-- decode_of_half_a_code
SELECT url_decode('%e')
--! INVALID_FUNCTION_ARGUMENT
