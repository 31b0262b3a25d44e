-- Dates, times, zones, weeks and intervals as reports use them.
-- source: functions/datetime.html

-- iso_weeks_at_the_turn_of_years
SELECT d, week(d) AS w, year_of_week(d) AS y, week_of_year(d), yow(d), day_of_week(d), dow(d)
FROM (VALUES DATE '2020-12-31', DATE '2021-01-03', DATE '2023-01-01', DATE '2024-12-30', DATE '2026-11-15') AS t (d) ORDER BY d
--> "2020-12-31","53","2020","53","2020","4","4"
--> "2021-01-03","53","2020","53","2020","7","7"
--> "2023-01-01","52","2022","52","2022","7","7"
--> "2024-12-30","1","2025","1","2025","1","1"
--> "2026-11-15","46","2026","46","2026","7","7"

-- an_iso_week_as_a_text
SELECT CAST(year_of_week(d) AS varchar) || '-W' || lpad(CAST(week(d) AS varchar), 2, '0') AS w, date_format(d, '%x-W%v') AS v, format_datetime(d, 'xxxx-ww') AS j
FROM (VALUES DATE '2024-12-30', DATE '2026-01-08') AS t (d) ORDER BY d
--> "2025-W01","2025-W01","2025-01"
--> "2026-W02","2026-W02","2026-02"

-- date_trunc_of_every_unit
SELECT date_trunc('second', t), date_trunc('minute', t), date_trunc('hour', t), date_trunc('day', t) FROM (VALUES TIMESTAMP '2026-11-15 13:14:15.678') AS x (t)
--> "2026-11-15 13:14:15.000","2026-11-15 13:14:00.000","2026-11-15 13:00:00.000","2026-11-15 00:00:00.000"

-- date_trunc_of_dates
SELECT date_trunc('week', d), date_trunc('month', d), date_trunc('quarter', d), date_trunc('year', d) FROM (VALUES DATE '2026-11-15') AS x (d)
--> "2026-11-09","2026-11-01","2026-10-01","2026-01-01"

-- date_trunc_in_capitals
SELECT DATE_TRUNC('WEEK', DATE '2026-11-15'), date_trunc('Month', TIMESTAMP '2026-11-15 01:02:03.004')
--> "2026-11-09","2026-11-01 00:00:00.000"

-- date_diff_counts_whole_units
SELECT date_diff('day', TIMESTAMP '2026-11-14 23:00:00.000', TIMESTAMP '2026-11-15 22:59:59.999') AS day,
       date_diff('day', DATE '2026-11-14', DATE '2026-11-15') AS dates,
       date_diff('month', DATE '2026-01-31', DATE '2026-02-27') AS month, date_diff('month', DATE '2026-01-28', DATE '2026-02-28') AS whole_month,
       date_diff('year', DATE '2024-11-16', DATE '2026-11-15') AS year, date_diff('quarter', DATE '2026-01-01', DATE '2026-11-15') AS quarter
--> "0","1","0","1","1","3"

-- date_diff_backwards
SELECT date_diff('day', DATE '2026-11-15', DATE '2026-11-01'), date_diff('hour', TIMESTAMP '2026-11-15 01:30:00', TIMESTAMP '2026-11-15 00:00:00'), date_diff('week', DATE '2026-11-15', DATE '2026-11-02')
--> "-14","-1","-1"

-- date_diff_of_a_date_and_a_time
SELECT date_diff('day', DATE '2026-11-01', TIMESTAMP '2026-11-15 00:05:00.000'), date_diff('day', sold_on, current_date) FROM sales WHERE id = 1
--> "14","14"

-- date_diff_in_milliseconds
SELECT date_diff('millisecond', TIMESTAMP '2026-11-15 00:00:00.250', TIMESTAMP '2026-11-15 00:01:00.000') / 1000.0
--> "59.75"

-- date_add_of_every_unit
SELECT date_add('second', 86, TIMESTAMP '2026-11-15 00:00:00.500'), date_add('hour', -1, TIMESTAMP '2026-11-15 00:00:00.000'),
       date_add('week', 2, DATE '2026-11-15'), date_add('quarter', 1, DATE '2026-11-30'), date_add('year', -1, DATE '2024-02-29')
--> "2026-11-15 00:01:26.500","2026-11-14 23:00:00.000","2026-11-29","2027-02-28","2023-02-28"

-- the_last_day_of_last_month
SELECT date_add('day', -1, date_trunc('month', DATE '2026-03-15')) AS a, last_day_of_month(date_add('month', -1, DATE '2026-03-31')) AS b, day(last_day_of_month(DATE '2024-02-10')) AS c
--> "2026-02-28","2026-02-28","29"

-- interval_arithmetic
SELECT DATE '2026-11-15' - INTERVAL '1' MONTH, DATE '2026-03-31' - INTERVAL '1' MONTH, TIMESTAMP '2026-11-15 00:00:00.000' + INTERVAL '36' HOUR, DATE '2026-11-15' + INTERVAL '2' YEAR
--> "2026-10-15","2026-02-28","2026-11-16 12:00:00.000","2028-11-15"

-- interval_times_a_number
SELECT TIMESTAMP '2026-11-15 00:00:00.000' - 3 * INTERVAL '7' DAY, DATE '2026-11-15' + INTERVAL '1' DAY * 2, TIMESTAMP '2026-11-15 00:00:00.000' + INTERVAL '90' MINUTE / 2
--> "2026-10-25 00:00:00.000","2026-11-17","2026-11-15 00:45:00.000"

-- interval_of_two_times
SELECT TIMESTAMP '2026-11-15 01:02:03.000' - TIMESTAMP '2026-11-13 00:00:00.000' AS took, TIMESTAMP '2026-11-15 00:00:00' - TIMESTAMP '2026-11-13 00:00:00' > INTERVAL '1' DAY AS long
--> "2 01:02:03.000","true"

-- interval_with_a_range
SELECT TIMESTAMP '2026-11-15 00:00:00.000' + INTERVAL '1 12:30' DAY TO MINUTE, DATE '2026-11-15' - INTERVAL '1-6' YEAR TO MONTH
--> "2026-11-16 12:30:00.000","2025-05-15"

-- date_parse_of_common_formats
SELECT date_parse('20261115', '%Y%m%d'), date_parse('15/11/2026 23:05', '%d/%m/%Y %H:%i'), date_parse('11/5/2026', '%c/%e/%Y'), date_parse('2026-11-15T01:02:03', '%Y-%m-%dT%T')
--> "2026-11-15 00:00:00.000","2026-11-15 23:05:00.000","2026-11-05 00:00:00.000","2026-11-15 01:02:03.000"

-- date_parse_of_fractions
SELECT date_parse('2026-11-15 01:02:03.450', '%Y-%m-%d %H:%i:%s.%f'), CAST(date_parse('2026-11-15', '%Y-%m-%d') AS date)
--> "2026-11-15 01:02:03.450","2026-11-15"

-- date_parse_with_am_and_pm
SELECT date_parse('Nov 15 2026 12:30 AM', '%b %d %Y %h:%i %p'), date_parse('November 5 2026 03:00:00 PM', '%M %e %Y %r')
--> "2026-11-15 00:30:00.000","2026-11-05 15:00:00.000"

-- date_format_of_many_letters
SELECT date_format(t, '%Y-%m-%d %H:%i:%s'), date_format(t, '%y %c %e %k %l %p'), date_format(t, '%a %b %j'), date_format(t, '%W, %M'), date_format(t, '%T %r %f %%')
FROM (VALUES TIMESTAMP '2026-02-05 15:04:09.123') AS x (t)
--> "2026-02-05 15:04:09","26 2 5 15 3 PM","Thu Feb 036","Thursday, February","15:04:09 03:04:09 PM 123000 %"

-- date_format_of_a_date_column
SELECT date_format(sold_on, '%Y-%m') AS month, count(*) FROM sales GROUP BY date_format(sold_on, '%Y-%m')
--> "2026-11","10"

-- format_datetime_with_texts_in_quotes
SELECT format_datetime(TIMESTAMP '2026-02-05 15:04:09.123', 'yyyy-MM-dd''T''HH:mm:ss.SSS'), format_datetime(TIMESTAMP '2026-02-05 15:04:09', 'EEEE, d MMMM yyyy h:mm a'), format_datetime(DATE '2026-02-05', 'yyyyMMdd D e')
--> "2026-02-05T15:04:09.123","Thursday, 5 February 2026 3:04 PM","20260205 36 4"

-- format_datetime_of_a_zone
SELECT format_datetime(TIMESTAMP '2026-11-15 00:05:00 UTC' AT TIME ZONE 'Asia/Tokyo', 'yyyy-MM-dd HH:mm Z'), format_datetime(from_iso8601_timestamp('2026-11-15T01:02:03Z'), 'HH:mm ZZ')
--> "2026-11-15 09:05 +0900","01:02 +00:00"

-- parse_datetime_of_an_offset
SELECT parse_datetime('2026-11-15 09:05:00 +09:00', 'yyyy-MM-dd HH:mm:ss ZZ') AT TIME ZONE 'UTC', to_unixtime(parse_datetime('1970-01-02', 'yyyy-MM-dd'))
--> "2026-11-15 00:05:00.000 UTC","86400.0"

-- iso_texts_and_back
SELECT to_iso8601(DATE '2026-11-15'), to_iso8601(TIMESTAMP '2026-11-15 01:02:03.004'), to_iso8601(from_iso8601_timestamp('2026-11-15T01:02:03+09:00')), from_iso8601_date('2026-11-15'), from_iso8601_date('2026-W46-7')
--> "2026-11-15","2026-11-15T01:02:03.004","2026-11-15T01:02:03.000+09:00","2026-11-15","2026-11-15"

-- iso_texts_keep_their_zone
SELECT from_iso8601_timestamp('2026-11-15T01:02:03Z'), from_iso8601_timestamp('2026-11-15T01:02:03.5-05:00'), from_iso8601_timestamp('2026-11-15'), from_iso8601_timestamp('2026-11-15T10')
--> "2026-11-15 01:02:03.000 UTC","2026-11-15 01:02:03.500 -05:00","2026-11-15 00:00:00.000 UTC","2026-11-15 10:00:00.000 UTC"

-- days_in_a_zone
SELECT CAST(at AT TIME ZONE 'America/New_York' AS date) AS day, count(*) AS n
FROM (SELECT from_iso8601_timestamp(v) AS at FROM (VALUES '2026-11-15T04:59:59Z', '2026-11-15T05:00:00Z', '2026-11-15T23:00:00Z') AS t (v)) GROUP BY 1 ORDER BY 1
--> "2026-11-14","1"
--> "2026-11-15","2"

-- a_timestamp_without_a_zone_is_utc
SELECT sold_at AT TIME ZONE 'Asia/Tokyo' AS tokyo, hour(sold_at AT TIME ZONE 'Asia/Tokyo') AS h, date(sold_at AT TIME ZONE 'Asia/Tokyo') AS d, with_timezone(sold_at, 'Asia/Tokyo') AS there
FROM sales WHERE id = 9
--> "2026-11-15 05:00:00.000 Asia/Tokyo","5","2026-11-15","2026-11-14 20:00:00.000 Asia/Tokyo"

-- summer_time_begins_and_ends
SELECT TIMESTAMP '2026-03-29 00:59:59 UTC' AT TIME ZONE 'Europe/Berlin', TIMESTAMP '2026-03-29 01:00:00 UTC' AT TIME ZONE 'Europe/Berlin', TIMESTAMP '2026-10-25 01:00:00 UTC' AT TIME ZONE 'Europe/Berlin'
--> "2026-03-29 01:59:59.000 Europe/Berlin","2026-03-29 03:00:00.000 Europe/Berlin","2026-10-25 02:00:00.000 Europe/Berlin"

-- a_zone_is_dropped_by_a_cast
SELECT CAST(TIMESTAMP '2026-11-15 00:05:00 UTC' AT TIME ZONE 'Asia/Tokyo' AS timestamp), date_trunc('day', TIMESTAMP '2026-11-15 20:05:00 UTC' AT TIME ZONE 'Asia/Tokyo')
--> "2026-11-15 09:05:00.000","2026-11-16 00:00:00.000 Asia/Tokyo"

-- zones_do_not_matter_to_comparisons
SELECT TIMESTAMP '2026-11-15 09:00:00 Asia/Tokyo' = TIMESTAMP '2026-11-15 00:00:00 UTC', TIMESTAMP '2026-11-15 09:00:00 Asia/Tokyo' > TIMESTAMP '2026-11-15 00:00:00', date_diff('hour', TIMESTAMP '2026-11-15 00:00:00 UTC', TIMESTAMP '2026-11-15 00:00:00 America/New_York')
--> "true","false","5"

-- parts_of_a_time
SELECT year(t), quarter(t), month(t), day(t), day_of_month(t), day_of_year(t), doy(t), hour(t), minute(t), second(t), millisecond(t) FROM (VALUES TIMESTAMP '2026-11-15 13:14:15.678') AS x (t)
--> "2026","4","11","15","15","319","319","13","14","15","678"

-- extract_of_parts
SELECT extract(year FROM t), EXTRACT(QUARTER FROM t), extract(week FROM t), extract(dow FROM t), extract(doy FROM t), extract(hour FROM t), extract(YEAR_OF_WEEK FROM t), extract(day_of_week FROM t) FROM (VALUES TIMESTAMP '2027-01-01 13:14:15.678') AS x (t)
--> "2027","1","53","5","1","13","2026","5"

-- current_values_of_the_clock
SELECT current_date, date(now()), CAST(current_timestamp AS date), hour(now()), minute(current_timestamp), date_format(now(), '%Y%m%d')
--> "2026-11-15","2026-11-15","2026-11-15","0","5","20261115"

-- current_timestamp_prints_its_zone
SELECT current_timestamp, now() - INTERVAL '10' MINUTE, localtimestamp, current_timestamp AT TIME ZONE 'America/New_York'
--> "2026-11-15 00:05:00.000 UTC","2026-11-14 23:55:00.000 UTC","2026-11-15 00:05:00.000","2026-11-14 19:05:00.000 America/New_York"

-- unix_times
SELECT to_unixtime(TIMESTAMP '2026-11-15 00:00:00.500'), CAST(to_unixtime(TIMESTAMP '2026-11-15 00:00:00') AS bigint), from_unixtime(0), from_unixtime(1.5), from_unixtime(1794700800, 'Asia/Tokyo')
--> "1.7947008005E9","1794700800","1970-01-01 00:00:00.000 UTC","1970-01-01 00:00:01.500 UTC","2026-11-15 09:00:00.000 Asia/Tokyo"

-- casts_of_texts_to_times
SELECT CAST('2026-11-15' AS date), date('2026-11-15'), CAST('2026-11-15 01:02:03' AS timestamp), CAST('2026-11-15 01:02:03.456' AS timestamp), CAST('2026-11-15' AS timestamp)
--> "2026-11-15","2026-11-15","2026-11-15 01:02:03.000","2026-11-15 01:02:03.456","2026-11-15 00:00:00.000"

-- times_as_texts
SELECT CAST(sold_at AS varchar), CAST(sold_on AS varchar), substr(CAST(sold_at AS varchar), 1, 7), CAST(sold_on AS timestamp), CAST(sold_at AS date) FROM sales WHERE id = 7
--> "2026-11-10 15:45:30.250","2026-11-10","2026-11","2026-11-10 00:00:00.000","2026-11-10"

-- dates_compare_with_times
SELECT count(*) FROM sales WHERE sold_at >= DATE '2026-11-14' AND sold_on < TIMESTAMP '2026-11-15 00:00:00'
--> "1"

-- buckets_of_fifteen_minutes
SELECT date_trunc('hour', at) + (minute(at) / 15) * INTERVAL '15' MINUTE AS bucket, count(*) AS n
FROM (VALUES TIMESTAMP '2026-11-15 10:14:59.000', TIMESTAMP '2026-11-15 10:15:00.000', TIMESTAMP '2026-11-15 10:29:00.000') AS t (at) GROUP BY 1 ORDER BY 1
--> "2026-11-15 10:00:00.000","1"
--> "2026-11-15 10:15:00.000","2"

-- buckets_of_five_minutes_by_seconds
SELECT from_unixtime(floor(to_unixtime(at) / 300) * 300) AS bucket FROM (VALUES TIMESTAMP '2026-11-15 10:14:59.000') AS t (at)
--> "2026-11-15 10:10:00.000 UTC"

-- weeks_that_begin_on_sunday
SELECT date_add('day', -1, date_trunc('week', date_add('day', 1, d))) AS sunday FROM (VALUES DATE '2026-11-14', DATE '2026-11-15') AS t (d) ORDER BY 1
--> "2026-11-08"
--> "2026-11-15"

-- working_days
SELECT count_if(day_of_week(d) NOT IN (6, 7)) AS working FROM UNNEST(sequence(DATE '2026-11-01', DATE '2026-11-15', INTERVAL '1' DAY)) AS t (d)
--> "10"

-- dates_backwards
SELECT sequence(DATE '2026-11-03', DATE '2026-11-01', INTERVAL '-1' DAY), cardinality(sequence(date '2026-01-01', date '2026-12-31')), sequence(DATE '2026-01-01', DATE '2026-06-30', INTERVAL '3' MONTH)
--> "[2026-11-03, 2026-11-02, 2026-11-01]","365","[2026-01-01, 2026-04-01]"

-- human_readable_seconds
SELECT human_readable_seconds(3661), human_readable_seconds(96)
--> "1 hour, 1 minute, 1 second","1 minute, 36 seconds"

-- months_between_the_ends_of_months
-- source: https://github.com/JodaOrg/joda-time (BasicMonthOfYearDateTimeField), which Trino uses
SELECT date_diff('month', DATE '2026-01-31', DATE '2026-02-28'), date_diff('month', DATE '2026-02-28', DATE '2026-03-31'), date_diff('month', DATE '2026-02-28', DATE '2026-03-27')
--> "1","1","0"

-- a_letter_in_quotes_is_no_time_zone
SELECT format_datetime(TIMESTAMP '2026-11-15 01:02:03.004', 'yyyy-MM-dd''T''HH:mm:ss''Z'''), format_datetime(current_timestamp, '''ZZ'' HH'), parse_datetime('2026-11-15T01:02:03Z', 'yyyy-MM-dd''T''HH:mm:ss''Z''')
--> "2026-11-15T01:02:03Z","ZZ 00","2026-11-15 01:02:03.000 UTC"

-- fractions_of_a_second_before_a_letter
SELECT date_parse('2026-11-15T01:02:03.123456Z', '%Y-%m-%dT%H:%i:%s.%fZ'), parse_datetime('2026-11-15T01:02:03.123Z', 'yyyy-MM-dd''T''HH:mm:ss.SSS''Z'''), parse_datetime('2026-11-15 01:02:03.5', 'yyyy-MM-dd HH:mm:ss.SSS')
--> "2026-11-15 01:02:03.123","2026-11-15 01:02:03.123 UTC","2026-11-15 01:02:03.500 UTC"

-- days_between_two_texts_with_offsets
SELECT date_diff('day', from_iso8601_timestamp(a), from_iso8601_timestamp(z)) AS days, date_diff('hour', from_iso8601_timestamp(a), current_timestamp) AS hours FROM (VALUES ('2026-11-14T00:00:00Z', '2026-11-15T00:00:00Z'), ('2026-11-14T23:00:00+09:00', '2026-11-15T13:59:59Z')) AS t (a, z) ORDER BY a
--> "1","24"
--> "0","10"

-- offsets_without_a_colon
SELECT from_iso8601_timestamp('2026-11-15T10:20:30.123+0900') AS a, from_iso8601_timestamp(v) AS b, parse_datetime('2026-11-15T10:20:30.123-0330', 'yyyy-MM-dd''T''HH:mm:ss.SSSZ') AS c FROM (VALUES '2026-11-15T10:20:30+09', '2026-11-15T10:20:30-0330', '2026-11-15T10:20:30Z') AS t (v) ORDER BY 2
--> "2026-11-15 10:20:30.123 +09:00","2026-11-15 10:20:30.000 +09:00","2026-11-15 10:20:30.123 -03:30"
--> "2026-11-15 10:20:30.123 +09:00","2026-11-15 10:20:30.000 UTC","2026-11-15 10:20:30.123 -03:30"
--> "2026-11-15 10:20:30.123 +09:00","2026-11-15 10:20:30.000 -03:30","2026-11-15 10:20:30.123 -03:30"

-- hours_that_are_whole_days
SELECT DATE '2026-11-15' + INTERVAL '24' HOUR, DATE '2026-11-15' - INTERVAL '48:00' HOUR TO MINUTE, TIMESTAMP '2026-11-15 00:00:00' + INTERVAL '1 12' DAY TO HOUR
--> "2026-11-16","2026-11-13","2026-11-16 12:00:00.000"

-- hours_that_are_no_whole_days
SELECT DATE '2026-11-15' + INTERVAL '36' HOUR
--! INVALID_FUNCTION_ARGUMENT
