-- The pages with most visits.
WITH counted AS (
    SELECT
        page,
        COUNT(*) FILTER (WHERE (visited_at >= TIMESTAMP '2026-11-14 15:00:00.000' AND visited_at < TIMESTAMP '2026-11-21 15:00:00.000')) AS visits,
        COUNT(*) FILTER (WHERE (visited_at >= TIMESTAMP '2026-11-07 15:00:00.000' AND visited_at < TIMESTAMP '2026-11-14 15:00:00.000')) AS previous_visits
    FROM kept_visits
    WHERE ((dt IN ('2026-11-07', '2026-11-08', '2026-11-09', '2026-11-10', '2026-11-11', '2026-11-12', '2026-11-13', '2026-11-14', '2026-11-15', '2026-11-16', '2026-11-17', '2026-11-18', '2026-11-19', '2026-11-20', '2026-11-21', '2026-11-22', '2026-11-23', '2026-11-24', '2026-11-25', '2026-11-26', '2026-11-27', '2026-11-28', '2026-11-29', '2026-11-30', '2026-12-01', '2026-12-02', '2026-12-03', '2026-12-04')) OR (dt IN ('2026-11-14', '2026-11-15', '2026-11-16', '2026-11-17', '2026-11-18', '2026-11-19', '2026-11-20', '2026-11-21', '2026-11-22', '2026-11-23', '2026-11-24', '2026-11-25', '2026-11-26', '2026-11-27', '2026-11-28', '2026-11-29', '2026-11-30', '2026-12-01', '2026-12-02', '2026-12-03', '2026-12-04', '2026-12-05', '2026-12-06', '2026-12-07', '2026-12-08', '2026-12-09', '2026-12-10', '2026-12-11')))
    GROUP BY page
),

ranked AS (
    SELECT
        ROW_NUMBER() OVER (ORDER BY visits DESC, page ASC) AS "rank",
        page,
        visits,
        previous_visits,
        ROW_NUMBER() OVER (ORDER BY previous_visits DESC, page ASC) AS rank_before
    FROM counted
)

SELECT
    "rank",
    page,
    visits,
    CASE WHEN previous_visits > 0 THEN rank_before END AS previous_rank
FROM ranked
WHERE visits > 0 AND "rank" <= 10
ORDER BY "rank"