-- The clock: it stands at 2026-11-15 00:05 UTC, a Sunday.
-- source: functions/datetime.html

-- current_date
SELECT current_date
--> "2026-11-15"

-- current_timestamp_and_now
SELECT current_timestamp, now(), current_timestamp = now()
--> "2026-11-15 00:05:00.000 UTC","2026-11-15 00:05:00.000 UTC","true"

-- localtimestamp
SELECT localtimestamp
--> "2026-11-15 00:05:00.000"

-- now_in_another_zone
SELECT now() AT TIME ZONE 'Asia/Tokyo', date(current_timestamp AT TIME ZONE 'America/New_York')
--> "2026-11-15 09:05:00.000 Asia/Tokyo","2026-11-14"

-- now_without_its_zone
SELECT CAST(now() AS timestamp), CAST(now() AS date), CAST(current_timestamp AT TIME ZONE 'Asia/Tokyo' AS timestamp)
--> "2026-11-15 00:05:00.000","2026-11-15","2026-11-15 09:05:00.000"

-- days_before_today
SELECT current_date - interval '7' day, current_date + interval '1' month, date_add('day', -1, current_date), current_date - interval '1' year
--> "2026-11-08","2026-12-15","2026-11-14","2025-11-15"

-- the_last_seven_days
SELECT id FROM sales WHERE sold_on >= current_date - interval '7' day AND sold_on < current_date ORDER BY id
--> "5"
--> "6"
--> "7"
--> "8"
--> "9"

-- sales_before_now
SELECT count(*), count_if(sold_at < now() - interval '6' hour), count_if(sold_at > localtimestamp - interval '1' hour) FROM sales WHERE sold_at < now()
--> "10","8","1"

-- days_since_the_sale
SELECT id, date_diff('day', sold_on, current_date) AS days FROM sales WHERE id IN (1, 9, 10) ORDER BY id
--> "1","14"
--> "9","1"
--> "10","0"

-- the_week_and_month_of_today
SELECT date_trunc('week', current_date), date_trunc('month', current_date), last_day_of_month(current_date), date_trunc('hour', now())
--> "2026-11-09","2026-11-01","2026-11-30","2026-11-15 00:00:00.000 UTC"

-- parts_of_now
SELECT year(current_date), month(now()), day_of_week(current_date), hour(now()), minute(current_timestamp), extract(day FROM now())
--> "2026","11","7","0","5","15"

-- now_as_a_number
SELECT CAST(to_unixtime(now()) AS bigint), to_unixtime(current_timestamp) = 1794701100e0, from_unixtime(to_unixtime(now())) = now()
--> "1794701100","true","true"

-- now_as_a_text
SELECT date_format(now(), '%Y-%m-%d %H:%i'), format_datetime(now(), 'yyyyMMdd'), to_iso8601(current_date), CAST(current_date AS varchar), CAST(now() AS varchar)
--> "2026-11-15 00:05","20261115","2026-11-15","2026-11-15","2026-11-15 00:05:00.000 UTC"

-- partitions_of_yesterday
SELECT count(*) FROM visits WHERE dt = CAST(current_date - interval '1' day AS varchar)
--> "3"

-- partitions_since_the_day_before_yesterday
SELECT dt, count(*) FROM visits WHERE dt >= date_format(current_date - interval '2' day, '%Y-%m-%d') GROUP BY dt ORDER BY dt
--> "2026-11-13","2"
--> "2026-11-14","3"
--> "2026-11-15","2"

-- the_week_before_this_one
SELECT count(*), sum(quantity) FROM sales WHERE sold_on >= date_trunc('week', current_date) - interval '7' day AND sold_on < date_trunc('week', current_date)
--> "4","13"

-- the_same_now_in_every_row
SELECT count(DISTINCT now()), count(DISTINCT current_date) FROM sales
--> "1","1"

-- a_calendar_up_to_today
SELECT count(*), min(d), max(d) FROM UNNEST(sequence(current_date - interval '6' day, current_date)) AS t (d)
--> "7","2026-11-09","2026-11-15"

-- now_between
SELECT now() BETWEEN TIMESTAMP '2026-11-15 00:00:00.000 UTC' AND TIMESTAMP '2026-11-15 09:10:00.000 Asia/Tokyo'
--> "true"

-- the_time_of_now
-- here: NOT_SUPPORTED
SELECT CAST(now() AS time), localtime
--> "00:05:00.000","00:05:00.000"

-- current_date_takes_no_brackets
SELECT current_date()
--! SYNTAX_ERROR

-- getdate_is_not_a_function
SELECT getdate()
--! FUNCTION_NOT_FOUND

-- today_is_not_a_function
SELECT today()
--! FUNCTION_NOT_FOUND
