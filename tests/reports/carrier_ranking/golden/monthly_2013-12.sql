-- One row per carrier with a departure in the period, most flights first, ties by carrier.
-- The mean delay is exact: whole minutes are summed, and the quotient is rounded half away from zero to
-- hundredths in integers, because a double could round a tie either way.
WITH departed AS (
    SELECT
        carrier,
        distance,
        arr_delay
    FROM flights
    WHERE (dt IN ('2013-12-01', '2013-12-02', '2013-12-03', '2013-12-04', '2013-12-05', '2013-12-06', '2013-12-07', '2013-12-08', '2013-12-09', '2013-12-10', '2013-12-11', '2013-12-12', '2013-12-13', '2013-12-14', '2013-12-15', '2013-12-16', '2013-12-17', '2013-12-18', '2013-12-19', '2013-12-20', '2013-12-21', '2013-12-22', '2013-12-23', '2013-12-24', '2013-12-25', '2013-12-26', '2013-12-27', '2013-12-28', '2013-12-29', '2013-12-30', '2013-12-31', '2014-01-01'))
        AND (time_hour >= TIMESTAMP '2013-12-01 05:00:00.000' AND time_hour < TIMESTAMP '2014-01-01 05:00:00.000')
        AND dep_time IS NOT NULL
),

totals AS (
    SELECT
        carrier,
        COUNT(*) AS flights,
        SUM(CAST(distance AS BIGINT)) AS distance_miles,
        SUM(CAST(arr_delay AS BIGINT)) AS delay_minutes,
        COUNT(arr_delay) AS arrivals
    FROM departed
    GROUP BY carrier
)

SELECT
    ROW_NUMBER() OVER (ORDER BY flights DESC, carrier ASC) AS "rank",
    carrier,
    flights,
    distance_miles,
    CASE
        WHEN arrivals > 0
            THEN CAST(
                CAST(SIGN(delay_minutes) * ((ABS(delay_minutes) * 200 + arrivals) / (2 * arrivals)) AS DECIMAL(18, 0))
                * DECIMAL '0.01' AS DECIMAL(18, 2)
            )
    END AS mean_arrival_delay_minutes
FROM totals
ORDER BY "rank"
