-- One row per carrier with a departure in the period, most flights first, ties by carrier.
-- The mean delay is exact: whole minutes are summed, and the quotient is rounded half away from zero to
-- hundredths in integers, because a double could round a tie either way.
WITH departed AS (
    SELECT
        carrier,
        distance,
        arr_delay
    FROM flights
    WHERE {{ inputs.flights.partitions }}
        AND {{ period.contains("time_hour") }}
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
