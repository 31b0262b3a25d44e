-- Dates and times without a zone.
-- source: functions/datetime.html

-- operators_of_dates
SELECT DATE '2012-08-08' + INTERVAL '2' DAY, DATE '2012-08-08' - INTERVAL '2' DAY, DATE '2026-01-31' + INTERVAL '1' MONTH, DATE '2024-02-29' - INTERVAL '1' YEAR
--> "2012-08-10","2012-08-06","2026-02-28","2023-02-28"

-- operators_of_timestamps
SELECT TIMESTAMP '2012-08-08 01:00' + INTERVAL '29' HOUR, TIMESTAMP '2012-10-31 01:00' + INTERVAL '1' MONTH, TIMESTAMP '2012-10-31 01:00' - INTERVAL '1' MONTH
--> "2012-08-09 06:00:00.000","2012-11-30 01:00:00.000","2012-09-30 01:00:00.000"

-- operators_of_intervals
SELECT INTERVAL '2' DAY + INTERVAL '3' HOUR, INTERVAL '3' YEAR + INTERVAL '5' MONTH, INTERVAL '2' DAY - INTERVAL '3' HOUR, INTERVAL '3' YEAR - INTERVAL '5' MONTH
--> "2 03:00:00.000","3-5","1 21:00:00.000","2-7"

-- intervals_times_numbers
SELECT INTERVAL '1' DAY * 3, 2 * INTERVAL '90' MINUTE, DATE '2026-11-15' + INTERVAL '1' DAY * 7, -INTERVAL '1' DAY
--> "3 00:00:00.000","0 03:00:00.000","2026-11-22","-1 00:00:00.000"

-- a_column_of_days_added
SELECT id, sold_on + quantity * INTERVAL '1' DAY AS due FROM sales WHERE id IN (1, 8, 9) ORDER BY id
--> "1","2026-11-03"
--> "8",
--> "9","2026-11-17"

-- differences_are_intervals
SELECT DATE '2026-11-15' - DATE '2026-11-01', TIMESTAMP '2026-11-15 12:00:00.000' - TIMESTAMP '2026-11-14 13:30:00.000'
--> "14 00:00:00.000","0 22:30:00.000"

-- intervals_compared
SELECT INTERVAL '90' MINUTE > INTERVAL '1' HOUR, INTERVAL '24' HOUR = INTERVAL '1' DAY, INTERVAL '1' YEAR = INTERVAL '12' MONTH
--> "true","true","true"

-- an_hour_added_to_a_date
SELECT DATE '2026-11-15' + INTERVAL '1' HOUR
--! INVALID_FUNCTION_ARGUMENT

-- a_number_added_to_a_date
SELECT DATE '2026-11-15' + 1
--! TYPE_MISMATCH

-- date_trunc_of_a_timestamp
SELECT date_trunc('second', x), date_trunc('minute', x), date_trunc('hour', x), date_trunc('day', x) FROM (VALUES TIMESTAMP '2001-08-22 03:04:05.321') AS t (x)
--> "2001-08-22 03:04:05.000","2001-08-22 03:04:00.000","2001-08-22 03:00:00.000","2001-08-22 00:00:00.000"

-- date_trunc_of_a_timestamp_to_longer_units
SELECT date_trunc('week', x), date_trunc('month', x), date_trunc('quarter', x), date_trunc('year', x) FROM (VALUES TIMESTAMP '2001-08-22 03:04:05.321') AS t (x)
--> "2001-08-20 00:00:00.000","2001-08-01 00:00:00.000","2001-07-01 00:00:00.000","2001-01-01 00:00:00.000"

-- date_trunc_of_a_date
SELECT date_trunc('day', DATE '2026-11-15'), date_trunc('week', DATE '2026-11-15'), date_trunc('quarter', DATE '2026-11-15'), date_trunc('year', DATE '2026-11-15')
--> "2026-11-15","2026-11-09","2026-10-01","2026-01-01"

-- date_trunc_by_another_case
SELECT date_trunc('MONTH', DATE '2026-11-15'), date_trunc('Week', DATE '2026-11-09')
--> "2026-11-01","2026-11-09"

-- date_trunc_by_an_unknown_unit
SELECT date_trunc('decade', DATE '2026-11-15')
--! INVALID_FUNCTION_ARGUMENT

-- sunday_weeks
SELECT date_trunc('week', sold_on + INTERVAL '1' DAY) - INTERVAL '1' DAY AS week, count(*) AS n, sum(quantity * price) AS amount FROM sales GROUP BY 1 ORDER BY 1
--> "2026-11-01","4","41.25"
--> "2026-11-08","5","62.50"
--> "2026-11-15","1","20.00"

-- date_add
SELECT date_add('second', 86, TIMESTAMP '2020-03-01 00:00:00.000'), date_add('hour', 9, TIMESTAMP '2020-03-01 00:00:00.000'), date_add('day', -1, DATE '2020-03-01')
--> "2020-03-01 00:01:26.000","2020-03-01 09:00:00.000","2020-02-29"

-- date_add_of_longer_units
SELECT date_add('week', 2, DATE '2026-11-15'), date_add('month', 3, DATE '2026-11-30'), date_add('quarter', -1, DATE '2026-05-31'), date_add('year', 1, DATE '2024-02-29')
--> "2026-11-29","2027-02-28","2026-02-28","2025-02-28"

-- date_add_of_milliseconds
SELECT date_add('millisecond', 1500, TIMESTAMP '2026-11-15 00:00:00.000'), date_add('minute', -1, TIMESTAMP '2026-01-01 00:00:00.000')
--> "2026-11-15 00:00:01.500","2025-12-31 23:59:00.000"

-- date_add_of_hours_to_a_date
SELECT date_add('hour', 1, DATE '2026-11-15')
--! INVALID_FUNCTION_ARGUMENT

-- date_diff
SELECT date_diff('second', TIMESTAMP '2020-03-01 00:00:00.000', TIMESTAMP '2020-03-02 00:00:00.000'), date_diff('day', DATE '2020-03-01', DATE '2020-03-02'), date_diff('day', DATE '2020-03-02', DATE '2020-03-01')
--> "86400","1","-1"

-- date_diff_counts_whole_units
SELECT date_diff('hour', TIMESTAMP '2026-11-15 00:30:00.000', TIMESTAMP '2026-11-15 02:29:00.000'), date_diff('week', DATE '2026-11-01', DATE '2026-11-14'), date_diff('month', DATE '2026-01-15', DATE '2026-03-14'), date_diff('year', DATE '2025-11-15', DATE '2026-11-15')
--> "1","1","1","1"

-- date_diff_of_quarters_and_milliseconds
SELECT date_diff('quarter', DATE '2026-01-01', DATE '2026-12-31'), date_diff('millisecond', TIMESTAMP '2026-11-15 00:00:00.000', TIMESTAMP '2026-11-15 00:00:01.250')
--> "3","1250"

-- date_diff_by_column
SELECT sensor, date_diff('day', min(at), max(at)) AS days FROM readings GROUP BY sensor ORDER BY sensor
--> "a","8"
--> "b","2"

-- date_diff_of_hours_between_dates
SELECT date_diff('hour', DATE '2026-11-14', DATE '2026-11-15')
--! INVALID_FUNCTION_ARGUMENT

-- iso_weeks_at_the_turn_of_years
SELECT d, week(d), year_of_week(d), day_of_week(d) FROM (VALUES DATE '2025-12-29', DATE '2026-01-01', DATE '2027-01-01', DATE '2021-01-03') AS t (d) ORDER BY d
--> "2021-01-03","53","2020","7"
--> "2025-12-29","1","2026","1"
--> "2026-01-01","1","2026","4"
--> "2027-01-01","53","2026","5"

-- other_names_of_the_week
SELECT week_of_year(DATE '2026-11-15'), yow(DATE '2024-12-31'), dow(DATE '2026-11-15'), doy(DATE '2026-11-15'), day_of_month(DATE '2026-11-15')
--> "46","2025","7","319","15"

-- sales_by_iso_week
SELECT year_of_week(sold_on) AS year, week(sold_on) AS week, count(*) AS n FROM sales GROUP BY 1, 2 ORDER BY 1, 2
--> "2026","44","1"
--> "2026","45","4"
--> "2026","46","5"

-- last_day_of_month
SELECT last_day_of_month(DATE '2024-02-10'), last_day_of_month(DATE '2026-02-28'), last_day_of_month(TIMESTAMP '2026-11-15 23:59:59.000')
--> "2024-02-29","2026-02-28","2026-11-30"

-- parts_of_a_timestamp
SELECT year(x), quarter(x), month(x), day(x), hour(x), minute(x), second(x), millisecond(x) FROM (VALUES TIMESTAMP '2026-11-15 13:04:05.678') AS t (x)
--> "2026","4","11","15","13","4","5","678"

-- extract
SELECT extract(YEAR FROM x), extract(week FROM x), extract(DOW FROM x), extract(DAY_OF_YEAR FROM x), extract(YEAR_OF_WEEK FROM x), extract(HOUR FROM x) FROM (VALUES TIMESTAMP '2026-11-15 13:04:05.678') AS t (x)
--> "2026","46","7","319","2026","13"

-- extract_with_a_text
SELECT extract('year' FROM DATE '2026-11-15')
--! SYNTAX_ERROR

-- an_interval_in_one_text
SELECT DATE '2026-11-15' + interval '1 day'
--! TYPE_NOT_FOUND or TYPE_MISMATCH or INVALID_LITERAL or SYNTAX_ERROR

-- an_interval_without_quotes
SELECT DATE '2026-11-15' + interval 1 day
--! SYNTAX_ERROR

-- to_iso8601_of_dates
SELECT to_iso8601(DATE '2026-11-15'), to_iso8601(TIMESTAMP '2001-08-22 03:04:05.321'), to_iso8601(sold_at) FROM sales WHERE id = 7
--> "2026-11-15","2001-08-22T03:04:05.321","2026-11-10T15:45:30.250"

-- to_iso8601_with_a_zone
SELECT to_iso8601(TIMESTAMP '2026-11-15 01:02:03.000 UTC'), to_iso8601(TIMESTAMP '2026-11-15 01:02:03.000 Asia/Tokyo')
--> "2026-11-15T01:02:03.000Z","2026-11-15T01:02:03.000+09:00"

-- from_iso8601_date
SELECT from_iso8601_date('2020-05-11'), from_iso8601_date('2020-W10'), from_iso8601_date('2020-123'), from_iso8601_date('2026-W46-7')
--> "2020-05-11","2020-03-02","2020-05-02","2026-11-15"

-- from_iso8601_date_of_something_else
SELECT from_iso8601_date('15.11.2026')
--! INVALID_FUNCTION_ARGUMENT

-- date_parse
SELECT date_parse('2022/10/20/05', '%Y/%m/%d/%H'), date_parse('2026-11-15', '%Y-%m-%d'), date_parse('15.11.2026 13:04:05', '%d.%m.%Y %T')
--> "2022-10-20 05:00:00.000","2026-11-15 00:00:00.000","2026-11-15 13:04:05.000"

-- date_parse_without_a_date
SELECT date_parse('10:20', '%H:%i'), date_parse('59.123456789', '%s.%f')
--> "1970-01-01 10:20:00.000","1970-01-01 00:00:59.123"

-- date_parse_of_parts_of_a_date
SELECT date_parse('2013', '%Y'), date_parse('2013-05', '%Y-%m')
--> "2013-01-01 00:00:00.000","2013-05-01 00:00:00.000"

-- date_parse_of_a_month_and_a_day_takes_joda_times_default_year
-- source: https://www.joda.org/joda-time/apidocs/org/joda/time/format/DateTimeFormatter.html#withDefaultYear-int-
SELECT date_parse('11-15', '%m-%d')
--> "2000-11-15 00:00:00.000"

-- date_parse_of_twelve_hours
SELECT date_parse('2013-05-17 12:35:10 AM', '%Y-%m-%d %h:%i:%s %p'), date_parse('2013-05-17 12:35:10 PM', '%Y-%m-%d %h:%i:%s %p'), date_parse('2026-11-15 1:05 pm', '%Y-%m-%d %l:%i %p')
--> "2013-05-17 00:35:10.000","2013-05-17 12:35:10.000","2026-11-15 13:05:00.000"

-- date_parse_of_names_of_months
SELECT date_parse('28-JAN-16', '%d-%b-%y'), date_parse('November 5, 2026', '%M %e, %Y')
--> "2016-01-28 00:00:00.000","2026-11-05 00:00:00.000"

-- date_parse_of_two_digit_years
SELECT year(date_parse('70', '%y')), year(date_parse('69', '%y')), year(date_parse('26', '%y'))
--> "1970","2069","2026"

-- date_parse_of_week_and_year
SELECT date_parse('1998 53', '%x %v')
--> "1998-12-28 00:00:00.000"

-- date_parse_as_a_date
SELECT date(date_parse('20261115', '%Y%m%d')), CAST(date_parse('15/Nov/2026:00:05:01', '%d/%b/%Y:%H:%i:%s') AS date)
--> "2026-11-15","2026-11-15"

-- date_parse_of_something_else
SELECT date_parse('tomorrow', '%Y-%m-%d')
--! INVALID_FUNCTION_ARGUMENT

-- date_parse_with_text_left
SELECT date_parse('2026-11-15 10:00', '%Y-%m-%d')
--! INVALID_FUNCTION_ARGUMENT

-- date_parse_of_a_day_that_is_not
SELECT date_parse('2026-02-30', '%Y-%m-%d')
--! INVALID_FUNCTION_ARGUMENT

-- date_parse_by_a_specifier_that_is_not_done
SELECT date_parse('2026 3', '%Y %U')
--! INVALID_FUNCTION_ARGUMENT

-- date_format
SELECT date_format(TIMESTAMP '2022-10-20 05:10:00.000', '%m-%d-%Y %H'), date_format(DATE '2026-11-05', '%e/%c/%y'), date_format(TIMESTAMP '2026-11-15 13:04:05.000', '%T and %r')
--> "10-20-2022 05","5/11/26","13:04:05 and 01:04:05 PM"

-- date_format_of_names
SELECT date_format(DATE '2026-11-15', '%a %W %b %M %j'), date_format(DATE '2026-01-01', '%x-W%v'), date_format(DATE '2027-01-01', '%x-W%v')
--> "Sun Sunday Nov November 319","2026-W01","2026-W53"

-- date_format_of_hours
SELECT date_format(TIMESTAMP '2026-11-15 00:04:05.678', '%k %l %h %I %H %p'), date_format(TIMESTAMP '2026-11-15 13:04:05.678', '%k %l %h %i %S')
--> "0 12 12 12 00 AM","13 1 01 04 05"

-- date_format_of_fractions_and_percent
SELECT date_format(TIMESTAMP '2026-11-15 00:00:00.250', '%s.%f'), date_format(DATE '2026-11-15', '100%%'), date_format(DATE '2026-11-15', 'year %Y')
--> "00.250000","100%","year 2026"

-- date_format_groups
SELECT date_format(sold_at, '%Y-%m-%d') AS day, count(*) FROM sales WHERE id > 8 GROUP BY date_format(sold_at, '%Y-%m-%d') ORDER BY 1
--> "2026-11-14","1"
--> "2026-11-15","1"

-- date_format_by_a_specifier_that_is_not_done
SELECT date_format(DATE '2026-11-15', '%U')
--! INVALID_FUNCTION_ARGUMENT

-- date_format_of_a_text
SELECT date_format('2026-11-15', '%Y')
--! FUNCTION_NOT_FOUND or TYPE_MISMATCH

-- format_datetime
SELECT format_datetime(TIMESTAMP '2026-11-15 13:04:05.678', 'yyyy-MM-dd HH:mm:ss.SSS'), format_datetime(TIMESTAMP '2026-11-05 09:04:05.000', 'd.M.yy h:mm a')
--> "2026-11-15 13:04:05.678","5.11.26 9:04 AM"

-- format_datetime_of_names
SELECT format_datetime(TIMESTAMP '2026-11-15 00:00:00.000', 'EEE EEEE MMM MMMM'), format_datetime(TIMESTAMP '2026-11-15 00:00:00.000', 'xxxx-''W''ww-e'), format_datetime(TIMESTAMP '2026-02-01 00:00:00.000', 'DDD')
--> "Sun Sunday Nov November","2026-W46-7","032"

-- parse_datetime
SELECT parse_datetime('2026-11-15 01:02', 'yyyy-MM-dd HH:mm'), parse_datetime('15/11/2026', 'dd/MM/yyyy')
--> "2026-11-15 01:02:00.000 UTC","2026-11-15 00:00:00.000 UTC"

-- parse_datetime_with_an_offset
SELECT parse_datetime('2026-11-15 01:02:03 +0900', 'yyyy-MM-dd HH:mm:ss Z') AT TIME ZONE 'UTC'
--> "2026-11-14 16:02:03.000 UTC"

-- parse_datetime_of_something_else
SELECT parse_datetime('x', 'yyyy')
--! INVALID_FUNCTION_ARGUMENT

-- from_unixtime
SELECT from_unixtime(0), from_unixtime(1794701100), date(from_unixtime(1794701100)), from_unixtime(1.25e0)
--> "1970-01-01 00:00:00.000 UTC","2026-11-15 00:05:00.000 UTC","2026-11-15","1970-01-01 00:00:01.250 UTC"

-- from_unixtime_of_milliseconds
SELECT from_unixtime(1794701100500 / 1000e0), to_unixtime(TIMESTAMP '2026-11-15 00:05:00.500') * 1000 = 1794701100500e0
--> "2026-11-15 00:05:00.500 UTC","true"

-- from_unixtime_with_a_zone
SELECT from_unixtime(1794701100, 'Asia/Tokyo'), from_unixtime(1794701100, 9, 30)
--> "2026-11-15 09:05:00.000 Asia/Tokyo","2026-11-15 09:35:00.000 +09:30"

-- to_unixtime
SELECT to_unixtime(TIMESTAMP '1970-01-02 00:00:00.000'), to_unixtime(TIMESTAMP '1970-01-01 09:00:00.000 Asia/Tokyo'), CAST(to_unixtime(TIMESTAMP '2026-11-15 00:05:00.000') AS bigint)
--> "86400.0","0.0","1794701100"

-- date_of_texts_and_timestamps
SELECT date('2026-11-15'), date(TIMESTAMP '2026-11-15 23:59:59.000'), CAST('2026-11-15' AS date), CAST(DATE '2026-11-15' AS timestamp)
--> "2026-11-15","2026-11-15","2026-11-15","2026-11-15 00:00:00.000"

-- comparisons_of_dates_and_timestamps
SELECT DATE '2026-11-15' = TIMESTAMP '2026-11-15 00:00:00.000', DATE '2026-11-15' < TIMESTAMP '2026-11-15 00:00:01.000', count_if(sold_at = sold_on) FROM sales
--> "true","true","2"

-- a_date_against_a_text
SELECT count(*) FROM sales WHERE sold_on = '2026-11-15'
--! TYPE_MISMATCH

-- half_open_ranges_of_timestamps
SELECT id FROM sales WHERE sold_at >= TIMESTAMP '2026-11-03 00:00:00.000' AND sold_at < TIMESTAMP '2026-11-05 00:00:00.000' ORDER BY id
--> "3"

-- between_takes_both_ends
SELECT id FROM sales WHERE sold_at BETWEEN TIMESTAMP '2026-11-14 20:00:00.000' AND TIMESTAMP '2026-11-15 00:00:00.000' ORDER BY id
--> "9"
--> "10"

-- human_readable_seconds
SELECT human_readable_seconds(96), human_readable_seconds(3762), human_readable_seconds(56363463)
--> "1 minute, 36 seconds","1 hour, 2 minutes, 42 seconds","93 weeks, 1 day, 8 hours, 31 minutes, 3 seconds"

-- parse_duration
SELECT parse_duration('3.81 d'), parse_duration('5m'), to_milliseconds(parse_duration('1.5h'))
--> "3 19:26:24.000","0 00:05:00.000","5400000"

-- times_of_day
-- here: NOT_SUPPORTED
SELECT TIME '01:00:00.000' + INTERVAL '3' HOUR, TIME '01:00:00.000' - INTERVAL '3' HOUR, CAST(TIMESTAMP '2026-11-15 13:04:05.678' AS time)
--> "04:00:00.000","22:00:00.000","13:04:05.678"

-- a_date_that_is_not
SELECT DATE '2026-02-30'
--! INVALID_LITERAL

-- a_timestamp_that_is_not
SELECT TIMESTAMP '2026-11-15 25:00:00.000'
--! INVALID_LITERAL

-- a_cast_to_a_date_that_is_not
SELECT CAST(x AS date) FROM (VALUES '2026-02-30') AS t (x)
--! INVALID_CAST_ARGUMENT

-- units_that_cross_a_year
SELECT date_trunc('week', DATE '2026-01-01'), date_add('month', -2, DATE '2026-01-31'), date_diff('day', DATE '2026-03-01', DATE '2026-02-27'), date_diff('week', DATE '2026-01-05', DATE '2025-12-22')
--> "2025-12-29","2025-11-30","-2","-2"

-- null_in_dates
SELECT date_trunc('week', CAST(NULL AS date)), date_diff('day', DATE '2026-11-15', CAST(NULL AS date)), date_parse(CAST(NULL AS varchar), '%Y'), last_day_of_month(CAST(NULL AS date)), CAST(NULL AS date) + INTERVAL '1' DAY
--> ,,,,
