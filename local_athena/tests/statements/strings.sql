-- Texts.
-- source: functions/string.html

-- split
SELECT split('a,b,c', ','), split('a,b,c', ',', 2), split('', ','), split('a,', ','), split('abc', 'x')
--> "[a, b, c]","[a, b,c]","[]","[a, ]","[abc]"

-- split_then_count
SELECT cardinality(split('', ',')), cardinality(split(',', ',')), split('a::b', '::')[2], element_at(split('a', ','), 2)
--> "1","2","b",

-- split_by_nothing
SELECT split('abc', '')
--! INVALID_FUNCTION_ARGUMENT

-- split_with_a_limit_of_zero
SELECT split('abc', 'b', 0)
--! INVALID_FUNCTION_ARGUMENT

-- split_part
SELECT split_part('a-b-c', '-', 1), split_part('a-b-c', '-', 3), split_part('a-b-c', '-', 4), split_part('', '-', 1), split_part('-b', '-', 1)
--> "a","c",,"",""

-- split_part_of_a_column
SELECT split_part(url, '/', 3) AS host, count(*) FROM visits WHERE url LIKE 'http%' GROUP BY 1 ORDER BY 1
--> "blog.example.org","1"
--> "example.com","4"
--> "example.com:8443","1"

-- split_part_zero
SELECT split_part('a', '-', 0)
--! INVALID_FUNCTION_ARGUMENT

-- format
-- source: functions/conversion.html#formatting
SELECT format('%s%%', 123), format('%03d', 8), format('%,.2f', 1234567.891e0), format('%-7s,%7s', 'hello', 'world'), format('%2$s %3$s %1$s', 'a', 'b', 'c')
--> "123%","008","1,234,567.89","hello  ,  world","b c a"

-- format_of_numbers
-- source: functions/conversion.html#formatting
SELECT format('%d', 1234567890123), format('%,d', 1234567), format('%.1f', 2.25e0), format('%5d|', 42), format('%x', 255), format('%+d', 5)
--> "1234567890123","1,234,567","2.3","   42|","ff","+5"

-- format_of_decimals_booleans_and_null
-- source: functions/conversion.html#formatting
SELECT format('%s', DECIMAL '1.50'), format('%.1f', DECIMAL '9.12'), format('%s', true), format('%s', CAST(NULL AS varchar))
--> "1.50","9.1","true","null"

-- format_of_dates
-- source: functions/conversion.html#formatting
SELECT format('%1$tA, %1$tB %1$te, %1$tY', DATE '2006-07-04'), format('%tF', DATE '2026-11-15'), format('%s', DATE '2026-11-15')
--> "Tuesday, July 4, 2006","2026-11-15","2026-11-15"

-- format_of_a_column
-- source: functions/conversion.html#formatting
SELECT format('%s: %,.2f', product, sum(quantity * price)) FROM sales GROUP BY product ORDER BY product
--> "cake: 58.50"
--> "coffee: 25.75"
--> "tea: 39.50"

-- format_with_the_wrong_type
-- source: functions/conversion.html#formatting
SELECT format('%d', 'a')
--! INVALID_FUNCTION_ARGUMENT

-- format_with_an_argument_missing
-- source: functions/conversion.html#formatting
SELECT format('%s %s', 'a')
--! INVALID_FUNCTION_ARGUMENT

-- Other functions of texts.
-- source: functions/string.html

-- concat_ws
SELECT concat_ws(',', 'a', NULL, 'b'), concat_ws('-', ARRAY['x', NULL, 'y']), concat_ws(CAST(NULL AS varchar), 'a'), concat_ws(',', '', 'b')
--> "a,b","x-y",,",b"

-- concat_with_null
SELECT 'a' || NULL, concat('a', CAST(NULL AS varchar)), 'a' || ''
--> ,,"a"

-- concat_with_a_number
SELECT concat('a', 1)
--! FUNCTION_NOT_FOUND

-- strpos
SELECT strpos('abcabc', 'c'), strpos('abc', 'x'), strpos('abcabc', 'c', 2), strpos('abcabc', 'c', -1), strpos('abc', '')
--> "3","0","6","6","1"

-- position
SELECT position('b' IN 'abc'), position('z' IN 'abc')
--> "2","0"

-- translate
SELECT translate('abcd', 'a', 'z'), translate('abcda', 'ac', 'z'), translate('Palhoça', 'ç', 'c'), translate('abcd', '', '')
--> "zbcd","zbdz","Palhoca","abcd"

-- levenshtein_and_hamming
SELECT levenshtein_distance('kitten', 'sitting'), levenshtein_distance('', 'abc'), hamming_distance('karolin', 'kathrin')
--> "3","3","3"

-- hamming_of_two_lengths
SELECT hamming_distance('a', 'ab')
--! INVALID_FUNCTION_ARGUMENT

-- codepoint_and_chr
SELECT codepoint('A'), codepoint('é'), chr(65), chr(26085)
--> "65","233","A","日"

-- length_counts_characters
SELECT length('日本'), length('👍'), length(''), length('a b')
--> "2","1","0","3"

-- lpad_and_rpad
SELECT lpad('7', 3, '0'), rpad('ab', 5, 'xy'), lpad('hello', 2, 'x'), lpad('', 2, 'ab'), rpad('a', 0, 'b')
--> "007","abxyx","he","ab",""

-- lpad_to_a_negative_length
SELECT lpad('a', -1, 'x')
--! INVALID_FUNCTION_ARGUMENT

-- lpad_with_nothing
SELECT lpad('a', 3, '')
--! INVALID_FUNCTION_ARGUMENT

-- trim_with_characters
SELECT trim('!' FROM '!foo!'), trim(LEADING FROM '  abcd'), trim(BOTH '$' FROM '$var$'), trim(TRAILING 'ER' FROM upper('worker')), ltrim('  a '), rtrim(' a  ')
--> "foo","abcd","var","WORK","a "," a"

-- substr_from_both_ends
SELECT substr('abcdef', 3), substr('abcdef', -2), substr('abcdef', 2, 3), substr('abcdef', 0), substr('abcdef', 9), substring('abcdef' FROM 2 FOR 2)
--> "cdef","ef","bcd","","","bc"

-- replace
SELECT replace('aXbX', 'X', '-'), replace('aXbX', 'X'), replace('abc', 'z', 'y'), replace('aaa', 'a', 'aa')
--> "a-b-","ab","abc","aaaaaa"

-- reverse_of_texts
SELECT reverse('abc'), reverse(''), reverse('añ')
--> "cba","","ña"

-- upper_and_lower
SELECT upper('héllo'), lower('ÀB'), upper('')
--> "HÉLLO","àb",""

-- starts_with_of_texts
SELECT starts_with('abc', 'ab'), starts_with('abc', ''), starts_with('abc', 'bc'), starts_with(CAST(NULL AS varchar), 'a')
--> "true","true","false",

-- normalize
SELECT length(normalize('é', NFD)), normalize('é') = 'é'
--> "2","true"

-- luhn_check
SELECT luhn_check('79927398713'), luhn_check('79927398714')
--> "true","false"

-- like
-- source: functions/comparison.html#pattern-comparison-like
SELECT 'abc' LIKE 'a%', 'abc' LIKE '_b_', 'abc' LIKE 'b%', 'abc' NOT LIKE 'A%', '' LIKE '%', NULL LIKE 'a'
--> "true","true","false","true","true",

-- like_with_an_escape
-- source: functions/comparison.html#pattern-comparison-like
SELECT '100%' LIKE '100$%' ESCAPE '$', '1000' LIKE '100$%' ESCAPE '$', 'a_b' LIKE 'a\_b' ESCAPE '\', 'a$b' LIKE 'a$$b' ESCAPE '$'
--> "true","false","true","true"

-- like_without_an_escape_knows_no_backslash
-- source: functions/comparison.html#pattern-comparison-like
SELECT 'a\_b' LIKE 'a\_b', 'a_b' LIKE 'a\_b'
--> "true","false"

-- like_across_lines
-- source: functions/comparison.html#pattern-comparison-like
SELECT 'a' || chr(10) || 'b' LIKE 'a%b', 'a' || chr(10) || 'b' LIKE 'a_b'
--> "true","true"

-- like_with_an_escape_before_another_character
-- source: functions/comparison.html#pattern-comparison-like
SELECT product LIKE 't!ea' ESCAPE '!' FROM sales
--! INVALID_FUNCTION_ARGUMENT

-- like_with_an_escape_at_the_end
-- source: functions/comparison.html#pattern-comparison-like
SELECT product LIKE 'tea!' ESCAPE '!' FROM sales
--! INVALID_FUNCTION_ARGUMENT

-- like_with_an_escape_of_two_characters
-- source: functions/comparison.html#pattern-comparison-like
SELECT product LIKE 'tea' ESCAPE '!!' FROM sales
--! INVALID_FUNCTION_ARGUMENT

-- order_of_texts_is_that_of_code_points
-- source: functions/comparison.html
SELECT x FROM (VALUES 'b', 'B', 'a', 'é', '') AS t (x) ORDER BY x
--> ""
--> "B"
--> "a"
--> "b"
--> "é"

-- quotes_in_texts
-- source: language/types.html#varchar
SELECT 'it''s', '"', '''', 'a' || '''' || 'b'
--> "it's","""","'","a'b"
