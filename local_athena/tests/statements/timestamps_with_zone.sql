-- Timestamps with a zone: an instant and the zone it prints in.
-- source: functions/datetime.html

-- literals
SELECT TIMESTAMP '2012-10-31 01:00 UTC', TIMESTAMP '2026-11-15 00:00:00 Asia/Tokyo', TIMESTAMP '2026-11-15 00:00:00 +09:00'
--> "2012-10-31 01:00:00.000 UTC","2026-11-15 00:00:00.000 Asia/Tokyo","2026-11-15 00:00:00.000 +09:00"

-- at_time_zone
SELECT TIMESTAMP '2012-10-31 01:00 UTC' AT TIME ZONE 'America/Los_Angeles', TIMESTAMP '2026-11-15 00:00:00' AT TIME ZONE 'Asia/Tokyo'
--> "2012-10-30 18:00:00.000 America/Los_Angeles","2026-11-15 09:00:00.000 Asia/Tokyo"

-- at_time_zone_by_an_offset
SELECT TIMESTAMP '2026-11-15 00:00:00.000 UTC' AT TIME ZONE '+05:30', TIMESTAMP '2026-11-15 00:00:00.000 UTC' AT TIME ZONE '-08:00'
--> "2026-11-15 05:30:00.000 +05:30","2026-11-14 16:00:00.000 -08:00"

-- at_timezone_and_with_timezone
SELECT at_timezone(TIMESTAMP '2022-11-01 09:08:07.321 UTC', 'America/Los_Angeles'), with_timezone(TIMESTAMP '2022-11-01 09:08:07.321', 'America/Los_Angeles')
--> "2022-11-01 02:08:07.321 America/Los_Angeles","2022-11-01 09:08:07.321 America/Los_Angeles"

-- with_timezone_as_utc
SELECT with_timezone(TIMESTAMP '2026-11-15 00:00:00.000', 'Asia/Tokyo') AT TIME ZONE 'UTC', date(with_timezone(TIMESTAMP '2026-11-15 08:00:00.000', 'Asia/Tokyo') AT TIME ZONE 'UTC')
--> "2026-11-14 15:00:00.000 UTC","2026-11-14"

-- days_of_another_zone
SELECT CAST(sold_at AT TIME ZONE 'Asia/Tokyo' AS date) AS day, count(*) AS n FROM sales WHERE id IN (3, 4, 9, 10) GROUP BY 1 ORDER BY 1
--> "2026-11-04","1"
--> "2026-11-05","1"
--> "2026-11-15","2"

-- hours_of_another_zone
SELECT id, hour(sold_at AT TIME ZONE 'America/New_York') AS hour FROM sales WHERE id IN (1, 3, 10) ORDER BY id
--> "1","4"
--> "3","18"
--> "10","19"

-- date_trunc_in_another_zone
SELECT date_trunc('day', TIMESTAMP '2026-11-15 00:05:00.000 UTC' AT TIME ZONE 'Asia/Tokyo'), date_trunc('month', TIMESTAMP '2026-11-30 20:00:00.000 UTC' AT TIME ZONE 'Asia/Tokyo')
--> "2026-11-15 00:00:00.000 Asia/Tokyo","2026-12-01 00:00:00.000 Asia/Tokyo"

-- equal_instants
SELECT TIMESTAMP '2026-11-15 00:00:00.000 UTC' = TIMESTAMP '2026-11-15 09:00:00.000 Asia/Tokyo', TIMESTAMP '2026-11-15 00:00:00.000 UTC' < TIMESTAMP '2026-11-15 08:59:59.000 Asia/Tokyo'
--> "true","false"

-- distinct_instants
SELECT count(DISTINCT x) FROM (VALUES TIMESTAMP '2026-11-15 00:00:00.000 UTC', TIMESTAMP '2026-11-15 09:00:00.000 Asia/Tokyo', TIMESTAMP '2026-11-15 09:00:00.000 UTC') AS t (x)
--> "2"

-- mixed_zones_print_their_own
SELECT x FROM (VALUES TIMESTAMP '2026-11-15 00:00:00.000 UTC', TIMESTAMP '2026-11-15 08:00:00.000 Asia/Tokyo', TIMESTAMP '2026-11-14 20:00:00.000 America/New_York') AS t (x) ORDER BY x
--> "2026-11-15 08:00:00.000 Asia/Tokyo"
--> "2026-11-15 00:00:00.000 UTC"
--> "2026-11-14 20:00:00.000 America/New_York"

-- the_latest_of_mixed_zones
SELECT max(x), min(x) FROM (VALUES TIMESTAMP '2026-11-15 00:00:00.000 UTC', TIMESTAMP '2026-11-15 08:00:00.000 Asia/Tokyo', TIMESTAMP '2026-11-14 20:00:00.000 America/New_York') AS t (x)
--> "2026-11-14 20:00:00.000 America/New_York","2026-11-15 08:00:00.000 Asia/Tokyo"

-- a_zone_from_a_column
SELECT zone, at_timezone(TIMESTAMP '2026-11-15 00:00:00.000 UTC', zone) AS there FROM (VALUES 'Asia/Tokyo', 'Europe/Berlin', 'UTC') AS t (zone) ORDER BY zone
--> "Asia/Tokyo","2026-11-15 09:00:00.000 Asia/Tokyo"
--> "Europe/Berlin","2026-11-15 01:00:00.000 Europe/Berlin"
--> "UTC","2026-11-15 00:00:00.000 UTC"

-- at_time_zone_takes_a_text_alone
SELECT now() AT TIME ZONE zone FROM (VALUES 'UTC') AS t (zone)
--! SYNTAX_ERROR

-- a_zone_by_a_condition
SELECT if(x = 1, TIMESTAMP '2026-11-15 00:00:00.000 UTC', TIMESTAMP '2026-11-15 00:00:00.000 Asia/Tokyo') FROM (VALUES 1, 2) AS t (x) ORDER BY x
--> "2026-11-15 00:00:00.000 UTC"
--> "2026-11-15 00:00:00.000 Asia/Tokyo"

-- zones_in_a_union
SELECT TIMESTAMP '2026-11-15 00:00:00.000 UTC' AS x UNION ALL SELECT TIMESTAMP '2026-11-15 08:00:00.000 Asia/Tokyo' ORDER BY x
--> "2026-11-15 08:00:00.000 Asia/Tokyo"
--> "2026-11-15 00:00:00.000 UTC"

-- zones_in_an_array
SELECT ARRAY[TIMESTAMP '2026-11-15 00:00:00.000 UTC', TIMESTAMP '2026-11-15 00:00:00.000 Asia/Tokyo'][2]
--> "2026-11-15 00:00:00.000 Asia/Tokyo"

-- from_iso8601_timestamp
SELECT from_iso8601_timestamp('2020-05-11'), from_iso8601_timestamp('2020-05-11T11:15:05'), from_iso8601_timestamp('2026-11-15T00:05:00Z')
--> "2020-05-11 00:00:00.000 UTC","2020-05-11 11:15:05.000 UTC","2026-11-15 00:05:00.000 UTC"

-- from_iso8601_timestamp_keeps_its_offset
SELECT from_iso8601_timestamp('2020-05-11T11:15:05.055+01:00'), from_iso8601_timestamp('2001-08-22T03:04:05.321-11:00')
--> "2020-05-11 11:15:05.055 +01:00","2001-08-22 03:04:05.321 -11:00"

-- from_iso8601_timestamp_of_mixed_offsets
SELECT from_iso8601_timestamp(v) FROM (VALUES '2026-11-15T00:00:00Z', '2026-11-15T08:00:00+09:00') AS t (v) ORDER BY 1
--> "2026-11-15 08:00:00.000 +09:00"
--> "2026-11-15 00:00:00.000 UTC"

-- date_of_from_iso8601_timestamp
SELECT v, date(from_iso8601_timestamp(v)) AS day FROM (VALUES '2026-11-14T23:30:00Z', '2026-11-15T08:30:00+09:00') AS t (v) ORDER BY v
--> "2026-11-14T23:30:00Z","2026-11-14"
--> "2026-11-15T08:30:00+09:00","2026-11-15"

-- from_iso8601_timestamp_in_another_zone
SELECT date(from_iso8601_timestamp('2026-11-14T20:00:00Z') AT TIME ZONE 'Asia/Tokyo'), hour(from_iso8601_timestamp('2026-11-14T20:00:00+09:00'))
--> "2026-11-15","20"

-- from_iso8601_timestamp_of_something_else
SELECT from_iso8601_timestamp('yesterday')
--! INVALID_FUNCTION_ARGUMENT

-- cast_drops_the_zone
-- source: functions/conversion.html
SELECT CAST(TIMESTAMP '2026-11-15 09:00:00.000 Asia/Tokyo' AS timestamp), CAST(TIMESTAMP '2026-11-15 09:00:00.000 Asia/Tokyo' AS date), CAST(TIMESTAMP '2026-11-15 09:00:00.000 Asia/Tokyo' AS varchar)
--> "2026-11-15 09:00:00.000","2026-11-15","2026-11-15 09:00:00.000 Asia/Tokyo"

-- cast_takes_the_zone_of_the_session
-- source: functions/conversion.html
SELECT CAST(TIMESTAMP '2026-11-15 09:00:00.000' AS timestamp with time zone), CAST('2026-11-15 09:00:00 Asia/Tokyo' AS timestamp with time zone)
--> "2026-11-15 09:00:00.000 UTC","2026-11-15 09:00:00.000 Asia/Tokyo"

-- comparison_with_a_timestamp_without_zone
SELECT TIMESTAMP '2026-11-15 00:00:00.000' = TIMESTAMP '2026-11-15 00:00:00.000 UTC', TIMESTAMP '2026-11-15 00:00:00.000' < TIMESTAMP '2026-11-15 00:00:00.000 America/New_York'
--> "true","true"

-- parts_are_those_of_the_zone
SELECT hour(x), day(x), day_of_week(x), month(x), extract(timezone_hour FROM x) FROM (VALUES TIMESTAMP '2026-11-30 23:00:00.000 UTC' AT TIME ZONE 'Asia/Tokyo') AS t (x)
--> "8","1","2","12","9"

-- offsets_of_zones
SELECT timezone_hour(TIMESTAMP '2026-11-15 00:00:00.000 Asia/Kolkata'), timezone_minute(TIMESTAMP '2026-11-15 00:00:00.000 Asia/Kolkata'), timezone_hour(TIMESTAMP '2026-07-15 00:00:00.000 America/New_York'), timezone_hour(TIMESTAMP '2026-11-15 00:00:00.000 America/New_York')
--> "5","30","-4","-5"

-- a_day_is_24_hours_as_an_interval
SELECT TIMESTAMP '2026-10-31 12:00:00.000 America/New_York' + INTERVAL '1' DAY, TIMESTAMP '2026-03-07 12:00:00.000 America/New_York' + INTERVAL '24' HOUR
--> "2026-11-01 11:00:00.000 America/New_York","2026-03-08 13:00:00.000 America/New_York"

-- a_day_is_a_day_of_the_calendar_in_date_add
SELECT date_add('day', 1, TIMESTAMP '2026-10-31 12:00:00.000 America/New_York'), date_add('hour', 24, TIMESTAMP '2026-10-31 12:00:00.000 America/New_York')
--> "2026-11-01 12:00:00.000 America/New_York","2026-11-01 11:00:00.000 America/New_York"

-- date_diff_over_the_end_of_summer_time
SELECT date_diff('hour', TIMESTAMP '2026-11-01 00:00:00.000 America/New_York', TIMESTAMP '2026-11-02 00:00:00.000 America/New_York'), date_diff('day', TIMESTAMP '2026-11-01 00:00:00.000 America/New_York', TIMESTAMP '2026-11-02 00:00:00.000 America/New_York')
--> "25","1"

-- the_hour_that_comes_twice
SELECT TIMESTAMP '2026-11-01 05:30:00.000 UTC' AT TIME ZONE 'America/New_York', TIMESTAMP '2026-11-01 06:30:00.000 UTC' AT TIME ZONE 'America/New_York'
--> "2026-11-01 01:30:00.000 America/New_York","2026-11-01 01:30:00.000 America/New_York"

-- the_hour_that_is_left_out
SELECT TIMESTAMP '2026-03-08 06:59:59.000 UTC' AT TIME ZONE 'America/New_York', TIMESTAMP '2026-03-08 07:00:00.000 UTC' AT TIME ZONE 'America/New_York'
--> "2026-03-08 01:59:59.000 America/New_York","2026-03-08 03:00:00.000 America/New_York"

-- months_added_in_a_zone
SELECT TIMESTAMP '2026-10-15 00:00:00.000 America/New_York' + INTERVAL '1' MONTH, date_trunc('month', TIMESTAMP '2026-11-15 00:00:00.000 America/New_York')
--> "2026-11-15 00:00:00.000 America/New_York","2026-11-01 00:00:00.000 America/New_York"

-- difference_of_instants
SELECT TIMESTAMP '2026-11-15 09:00:00.000 Asia/Tokyo' - TIMESTAMP '2026-11-14 00:00:00.000 UTC', date_diff('minute', TIMESTAMP '2026-11-15 09:00:00.000 Asia/Tokyo', TIMESTAMP '2026-11-15 00:30:00.000 UTC')
--> "1 00:00:00.000","30"

-- formats_are_those_of_the_zone
SELECT date_format(TIMESTAMP '2026-11-14 20:00:00.000 UTC' AT TIME ZONE 'Asia/Tokyo', '%Y-%m-%d %H'), format_datetime(TIMESTAMP '2026-11-14 20:00:00.000 UTC' AT TIME ZONE 'Asia/Tokyo', 'yyyy-MM-dd HH:mm Z')
--> "2026-11-15 05","2026-11-15 05:00 +0900"

-- group_by_an_instant
SELECT x AT TIME ZONE 'UTC', count(*) FROM (VALUES TIMESTAMP '2026-11-15 00:00:00.000 UTC', TIMESTAMP '2026-11-15 09:00:00.000 Asia/Tokyo') AS t (x) GROUP BY x AT TIME ZONE 'UTC'
--> "2026-11-15 00:00:00.000 UTC","2"

-- an_unknown_zone
SELECT TIMESTAMP '2026-11-15 00:00:00.000 UTC' AT TIME ZONE 'Asia/Nowhere'
--! NOT_SUPPORTED or INVALID_FUNCTION_ARGUMENT

-- an_unknown_zone_in_a_literal
SELECT TIMESTAMP '2026-11-15 00:00:00.000 Asia/Nowhere'
--! INVALID_LITERAL

-- date_trunc_over_the_end_of_summer_time
SELECT date_trunc('day', TIMESTAMP '2026-11-01 12:00:00.000 America/New_York'), date_trunc('week', TIMESTAMP '2026-11-01 12:00:00.000 America/New_York')
--> "2026-11-01 00:00:00.000 America/New_York","2026-10-26 00:00:00.000 America/New_York"

-- date_trunc_keeps_the_second_of_two_equal_hours
SELECT date_trunc('hour', TIMESTAMP '2026-11-01 06:30:00.000 UTC' AT TIME ZONE 'America/New_York') AT TIME ZONE 'UTC'
--> "2026-11-01 06:00:00.000 UTC"

-- a_day_of_23_hours
SELECT date_add('day', 1, TIMESTAMP '2026-03-28 12:00:00.000 Europe/Berlin'), date_diff('hour', TIMESTAMP '2026-03-29 00:00:00.000 Europe/Berlin', TIMESTAMP '2026-03-30 00:00:00.000 Europe/Berlin')
--> "2026-03-29 12:00:00.000 Europe/Berlin","23"

-- bounds_of_a_local_day_in_utc
SELECT with_timezone(TIMESTAMP '2026-03-29 00:00:00.000', 'Europe/Berlin') AT TIME ZONE 'UTC', with_timezone(TIMESTAMP '2026-03-30 00:00:00.000', 'Europe/Berlin') AT TIME ZONE 'UTC'
--> "2026-03-28 23:00:00.000 UTC","2026-03-29 22:00:00.000 UTC"

-- before_1970
SELECT from_unixtime(-1), from_unixtime(-86400, 'Asia/Tokyo'), to_unixtime(TIMESTAMP '1969-12-31 23:59:59.500 UTC')
--> "1969-12-31 23:59:59.000 UTC","1969-12-31 09:00:00.000 Asia/Tokyo","-0.5"
