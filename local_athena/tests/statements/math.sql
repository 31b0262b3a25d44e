-- Numbers.
-- source: functions/math.html

-- division_truncates
SELECT 7 / 2, -7 / 2, 7 / -2, 1 / 2, 7 / 2e0, 1 / 3e0
--> "3","-3","-3","0","3.5","0.3333333333333333"

-- remainders_take_the_sign_of_the_dividend
SELECT 7 % 3, -7 % 3, 7 % -3, mod(-7, -3), 7.5e0 % 2, mod(5, 3)
--> "1","-1","1","-1","1.5","2"

-- round_half_away_from_zero
SELECT round(2.5e0), round(-2.5e0), round(3.5e0), round(2.4e0), round(DECIMAL '2.5'), round(DECIMAL '-2.5')
--> "3.0","-3.0","4.0","2.0","3","-3"

-- round_to_places
SELECT round(1.2345e0, 2), round(1234.5e0, -2), round(DECIMAL '1.255', 2), round(7, 2), round(-1.555e0, 1)
--> "1.23","1200.0","1.260","7","-1.6"

-- floor_ceiling_truncate
SELECT floor(-1.5e0), ceiling(1.2e0), ceil(-1.2e0), truncate(-1.7e0), floor(DECIMAL '1.5'), truncate(DECIMAL '-1.7')
--> "-2.0","2.0","-1.0","-1.0","1","-1"

-- abs_and_sign
SELECT abs(-3), abs(-2.5e0), sign(-7), sign(0), sign(2.5e0), abs(DECIMAL '-1.50')
--> "3","2.5","-1","0","1.0","1.50"

-- powers_and_roots
SELECT power(2, 10), pow(2, -1), sqrt(16), cbrt(27), exp(0), power(2.5e0, 2)
--> "1024.0","0.5","4.0","3.0","1.0","6.25"

-- logarithms
SELECT ln(1), log2(8), log10(1000), log(2, 8), round(ln(e()), 10)
--> "0.0","3.0","3.0","3.0","1.0"

-- constants
SELECT pi(), e(), radians(180), degrees(pi())
--> "3.141592653589793","2.718281828459045","3.141592653589793","180.0"

-- angles
SELECT sin(0), cos(0), round(tan(pi() / 4), 10), atan2(1, 1), asin(1) = pi() / 2
--> "0.0","1.0","1.0","0.7853981633974483","true"

-- width_bucket
SELECT width_bucket(5, 0, 10, 5), width_bucket(-1, 0, 10, 5), width_bucket(10, 0, 10, 5), width_bucket(3, ARRAY[1e0, 3e0, 5e0]), width_bucket(0, ARRAY[1e0, 3e0, 5e0])
--> "3","0","6","2","0"

-- random_numbers_stay_in_their_range
SELECT random() >= 0e0 AND random() < 1e0, random(10) BETWEEN 0 AND 9, rand() < 1e0
--> "true","true","true"

-- how_doubles_print
SELECT 1e0, 0.1e0 + 0.2e0, 1e7, 1e6, 1.5e-3, 1e-4, 123456789e0, 1e21
--> "1.0","0.30000000000000004","1.0E7","1000000.0","0.0015","1.0E-4","1.23456789E8","1.0E21"

-- how_decimals_print
SELECT DECIMAL '1.50', DECIMAL '0.00', DECIMAL '-0.5', DECIMAL '12345678901234567890.12', DECIMAL '100'
--> "1.50","0.00","-0.5","12345678901234567890.12","100"

-- integers_of_all_sizes
SELECT TINYINT '127', SMALLINT '-32768', 2147483647, 9223372036854775807, -9223372036854775808
--> "127","-32768","2147483647","9223372036854775807","-9223372036854775808"

-- sums_of_doubles_and_decimals
SELECT sum(x), sum(y), avg(y) FROM (VALUES (0.5e0, DECIMAL '0.10'), (0.25e0, DECIMAL '0.25')) AS t (x, y)
--> "0.75","0.35","0.18"

-- a_square_root_of_a_negative_number
SELECT sqrt(-1), is_nan(sqrt(-1))
--> "NaN","true"

-- width_bucket_without_buckets
SELECT width_bucket(5, 0, 10, 0)
--! INVALID_FUNCTION_ARGUMENT

-- a_base_that_is_not
SELECT to_base(5, 1)
--! INVALID_FUNCTION_ARGUMENT
