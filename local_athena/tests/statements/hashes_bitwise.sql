-- Hashes, encodings of bytes, bits.
-- source: functions/binary.html

-- md5
SELECT md5(to_utf8('abc')), to_hex(md5(to_utf8(''))), lower(to_hex(md5(to_utf8('é'))))
--> "90 01 50 98 3c d2 4f b0 d6 96 3f 7d 28 e1 7f 72","D41D8CD98F00B204E9800998ECF8427E","66ddcd97cfdeabb2f6fb8a999b4bc76f"

-- sha
SELECT to_hex(sha1(to_utf8('abc'))), to_hex(sha256(to_utf8('abc')))
--> "A9993E364706816ABA3E25717850C26C9CD0D89D","BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"

-- crc32
SELECT crc32(to_utf8('abc')), crc32(to_utf8(''))
--> "891568578","0"

-- hmac
SELECT to_hex(hmac_md5(to_utf8('abc'), to_utf8('key'))), to_hex(hmac_sha256(to_utf8('abc'), to_utf8('key')))
--> "D2FE98063F876B03193AFB49B4979591","9C196E32DC0175F86F4B1CB89289D6619DE6BEE699E4C378E68309ED97A1A6AB"

-- hmac_sha1
SELECT to_hex(hmac_sha1(to_utf8('abc'), to_utf8('key')))
--> "4FD0B215276EF12F2B3E4C8ECAC2811498B656FC"

-- hash_of_a_text
SELECT md5('abc')
--! FUNCTION_NOT_FOUND

-- hash_of_null
SELECT md5(CAST(NULL AS varbinary)), to_hex(sha256(to_utf8(country))) FROM sales WHERE country IS NULL
--> ,

-- distinct_hashes_of_a_column
SELECT count(DISTINCT md5(to_utf8(product))), count(DISTINCT xxhash64(to_utf8(country))) FROM sales
--> "3","3"

-- hex
SELECT to_hex(X'00ff10'), from_hex('00FF'), from_hex('00ff') = X'00FF', to_hex(to_utf8('Az'))
--> "00FF10","00 ff","true","417A"

-- bad_hex
SELECT from_hex('0G')
--! INVALID_FUNCTION_ARGUMENT

-- base64
SELECT to_base64(to_utf8('hello world')), from_utf8(from_base64('aGVsbG8gd29ybGQ=')), to_base64(X'fbff'), to_base64url(X'fbff')
--> "aGVsbG8gd29ybGQ=","hello world","+/8=","-_8="

-- base64_of_nothing
SELECT to_base64(X''), from_base64('') = X'', length(from_base64('AAAA'))
--> "","true","3"

-- bad_base64
SELECT from_base64('!')
--! INVALID_FUNCTION_ARGUMENT

-- utf8
SELECT to_utf8('aé'), from_utf8(X'61c3a9'), length(to_utf8('é')), from_utf8(X'61ff', '?'), from_utf8(X'61ff', '')
--> "61 c3 a9","aé","2","a?","a"

-- bytes_of_integers
SELECT to_big_endian_32(258), from_big_endian_32(X'00000102'), to_big_endian_64(-1), from_big_endian_64(X'00000000000000ff')
--> "00 00 01 02","258","ff ff ff ff ff ff ff ff","255"

-- bytes_joined_and_cut
SELECT X'01' || X'0203', length(X'010203'), substr(X'010203', 2), reverse(X'0102'), concat(X'01', X'02', X'03')
--> "01 02 03","3","02 03","02 01","01 02 03"

-- comparison_of_bytes
SELECT X'01' = X'01', X'01' < X'02', X'00' < X'0000', X'ff' > X'7f'
--> "true","true","true","true"

-- bytes_as_integers_of_a_hash
SELECT from_big_endian_64(xxhash64(to_utf8('a'))) = from_big_endian_64(xxhash64(to_utf8('a'))), mod(abs(from_big_endian_64(xxhash64(to_utf8('a')))), 10) BETWEEN 0 AND 9
--> "true","true"

-- Bits.
-- source: functions/bitwise.html

-- bitwise_and_or_xor_not
SELECT bitwise_and(19, 25), bitwise_or(19, 25), bitwise_xor(19, 25), bitwise_not(-12), bitwise_not(19)
--> "17","27","10","11","-20"

-- bitwise_of_negative_numbers
SELECT bitwise_and(-1, 255), bitwise_or(-8, 7), bitwise_xor(-1, 0)
--> "255","-1","-1"

-- bit_count
SELECT bit_count(9, 64), bit_count(9, 8), bit_count(-7, 64), bit_count(-7, 8)
--> "2","2","62","6"

-- bit_count_of_too_few_bits
SELECT bit_count(200, 8)
--! INVALID_FUNCTION_ARGUMENT

-- shifts
SELECT bitwise_left_shift(1, 2), bitwise_left_shift(5, 2), bitwise_right_shift(8, 3), bitwise_right_shift(9, 1), bitwise_left_shift(0, 2)
--> "4","20","1","4","0"

-- shifts_keep_the_type_of_what_is_shifted
-- source: functions/bitwise.html
SELECT bitwise_left_shift(TINYINT '7', 2), bitwise_left_shift(1, 31), bitwise_left_shift(TINYINT '7', 5), bitwise_right_shift(SMALLINT '-8', 2), bitwise_right_shift(-8, 2), bitwise_right_shift_arithmetic(SMALLINT '-8', 2), typeof(bitwise_left_shift(SMALLINT '7', 2))
--> "28","-2147483648","-32","16382","1073741822","-2","smallint"

-- shifts_by_all_bits
SELECT bitwise_right_shift(12, 64), bitwise_right_shift(BIGINT '-45', 64), bitwise_right_shift_arithmetic(BIGINT '-45', 64), bitwise_right_shift_arithmetic(12, 64)
--> "0","0","-1","0"

-- arithmetic_shift_of_a_negative_number
SELECT bitwise_right_shift_arithmetic(BIGINT '-8', 1), bitwise_right_shift(BIGINT '-8', 62)
--> "-4","3"

-- bits_in_a_condition
SELECT id FROM sales WHERE bitwise_and(id, 1) = 1 AND id < 6 ORDER BY id
--> "1"
--> "3"
--> "5"

-- operators_of_bits_of_other_dialects
SELECT 5 & 3
--! SYNTAX_ERROR

-- from_and_to_base
-- source: functions/math.html
SELECT from_base('ff', 16), from_base('-101', 2), to_base(255, 16), to_base(-5, 2)
--> "255","-5","ff","-101"
