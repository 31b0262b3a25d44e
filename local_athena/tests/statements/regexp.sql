-- Regular expressions.
-- source: functions/regexp.html

-- regexp_like
SELECT regexp_like('1a 2b 14m', '\d+b'), regexp_like('abc', '^b'), regexp_like('abc', 'B'), regexp_like('abc', '(?i)B'), regexp_like(NULL, 'a')
--> "true","false","false","true",

-- regexp_like_of_a_whole_text
SELECT regexp_like('Stevens', '^Ste(v|ph)en$'), regexp_like('Stephen', '^Ste(v|ph)en$'), regexp_like('', '^$')
--> "false","true","true"

-- regexp_like_in_a_condition
SELECT dt, count(*) FROM visits WHERE regexp_like(url, '^https://example\.com/shop/') GROUP BY dt ORDER BY dt
--> "2026-11-13","2"
--> "2026-11-14","1"

-- regexp_extract
SELECT regexp_extract('1a 2b 14m', '\d+'), regexp_extract('1a 2b 14m', '(\d+)([a-z]+)', 2), regexp_extract('abc', '\d+'), regexp_extract('abc', '(x)?b', 1)
--> "1","a",,

-- regexp_extract_of_a_column
SELECT regexp_extract(url, '/shop/([a-z]+)', 1) AS page, count(*) AS n FROM visits GROUP BY 1 ORDER BY page
--> "cake","1"
--> "tea","2"
--> ,"4"

-- regexp_extract_of_a_group_that_is_not_there
SELECT regexp_extract('abc', '(b)', 2)
--! INVALID_FUNCTION_ARGUMENT

-- regexp_extract_all
SELECT regexp_extract_all('1a 2b 14m', '\d+'), regexp_extract_all('1a 2b 14m', '(\d+)([a-z]+)', 2), regexp_extract_all('abc', '\d')
--> "[1, 2, 14]","[a, b, m]","[]"

-- regexp_count
SELECT regexp_count('1a 2b 14m', '\s*[a-z]+\s*'), regexp_count('aaa', 'a'), regexp_count('abc', 'x'), regexp_count('', 'x')
--> "3","3","0","0"

-- regexp_position
SELECT regexp_position('I have 23 apples, 5 pears and 13 oranges', '\b\d+\b'), regexp_position('I have 23 apples, 5 pears and 13 oranges', '\b\d+\b', 12), regexp_position('abc', 'x')
--> "8","19","-1"

-- regexp_position_of_the_second
SELECT regexp_position('I have 23 apples, 5 pears and 13 oranges', '\b\d+\b', 12, 2), regexp_position('I have 23 apples, 5 pears and 13 oranges', '\b\d+\b', 12, 3)
--> "31","-1"

-- regexp_replace_that_removes
SELECT regexp_replace('1a 2b 14m', '\d+[ab] '), regexp_replace('  a  b ', '\s+'), regexp_replace('abc', 'x')
--> "14m","ab","abc"

-- regexp_replace_with_groups
SELECT regexp_replace('1a 2b 14m', '(\d+)([ab]) ', '3c$2 '), regexp_replace('2026-11-15', '(\d+)-(\d+)-(\d+)', '$3.$2.$1'), regexp_replace('aXbX', 'X', '-')
--> "3ca 3cb 14m","15.11.2026","a-b-"

-- regexp_replace_with_a_named_group
SELECT regexp_replace('user=bob', '(?<key>\w+)=(?<value>\w+)', '${value}:${key}')
--> "bob:user"

-- regexp_replace_with_a_dollar
SELECT regexp_replace('5 EUR', 'EUR', '\$')
--> "5 $"

-- regexp_replace_by_a_group_that_is_not_there
SELECT regexp_replace('abc', 'b', '$1')
--! INVALID_FUNCTION_ARGUMENT

-- regexp_split
SELECT regexp_split('1a 2b 14m', '\s*[a-z]+\s*'), regexp_split('a1b22c', '\d+'), regexp_split('abc', 'x'), regexp_split('a, b;c', '[,;]\s*')
--> "[1, 2, 14, ]","[a, b, c]","[abc]","[a, b, c]"

-- classes_and_quantifiers
SELECT regexp_like('a_1', '^\w+$'), regexp_like('a b', '\s'), regexp_extract('aaa', 'a{2}'), regexp_extract('<a><b>', '<.+?>'), regexp_extract('<a><b>', '<.+>')
--> "true","true","aa","<a>","<a><b>"

-- alternatives_and_groups_without_numbers
SELECT regexp_extract('foobar', '(?:foo)(bar)', 1), regexp_extract('cat dog', 'dog|cat'), regexp_replace('a.b', '\.', '!')
--> "bar","cat","a!b"

-- texts_beyond_ascii
SELECT regexp_replace('héllo', 'é', 'e'), regexp_extract('日本語', '本'), regexp_count('日本', '.')
--> "hello","本","2"

-- null_in_null_out
SELECT regexp_replace(CAST(NULL AS varchar), 'a', 'b'), regexp_extract(CAST(NULL AS varchar), 'a'), regexp_split(CAST(NULL AS varchar), ',')
--> ,,

-- a_bad_pattern
SELECT regexp_like('abc', '[a')
--! INVALID_FUNCTION_ARGUMENT

-- a_bad_group
SELECT regexp_extract('abc', '(b')
--! INVALID_FUNCTION_ARGUMENT
