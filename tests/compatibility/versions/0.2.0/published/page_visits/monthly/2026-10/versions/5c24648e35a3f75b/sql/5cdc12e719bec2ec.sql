-- missing: database_dev.kept_visits/dt=2026-08-31, database_dev.kept_visits/dt=2026-09-01, database_dev.kept_visits/dt=2026-09-02, database_dev.kept_visits/dt=2026-09-03, database_dev.kept_visits/dt=2026-09-04, database_dev.kept_visits/dt=2026-09-05, database_dev.kept_visits/dt=2026-09-06, database_dev.kept_visits/dt=2026-09-07, database_dev.kept_visits/dt=2026-09-08, database_dev.kept_visits/dt=2026-09-09, database_dev.kept_visits/dt=2026-09-10, database_dev.kept_visits/dt=2026-09-11, database_dev.kept_visits/dt=2026-09-12, database_dev.kept_visits/dt=2026-09-13, database_dev.kept_visits/dt=2026-09-14, database_dev.kept_visits/dt=2026-09-15, database_dev.kept_visits/dt=2026-09-16, database_dev.kept_visits/dt=2026-09-17, database_dev.kept_visits/dt=2026-09-18, database_dev.kept_visits/dt=2026-09-19, database_dev.kept_visits/dt=2026-09-20, database_dev.kept_visits/dt=2026-09-21, database_dev.kept_visits/dt=2026-09-22, database_dev.kept_visits/dt=2026-09-23, database_dev.kept_visits/dt=2026-09-24, database_dev.kept_visits/dt=2026-09-25, database_dev.kept_visits/dt=2026-09-26, database_dev.kept_visits/dt=2026-09-27, database_dev.kept_visits/dt=2026-09-28, database_dev.kept_visits/dt=2026-09-29, database_dev.kept_visits/dt=2026-09-30
-- The pages with most visits.
WITH counted AS (
    SELECT
        page,
        COUNT(*) FILTER (WHERE (visited_at >= TIMESTAMP '2026-09-30 15:00:00.000' AND visited_at < TIMESTAMP '2026-10-31 15:00:00.000')) AS visits,
        COUNT(*) FILTER (WHERE (visited_at >= TIMESTAMP '2026-08-31 15:00:00.000' AND visited_at < TIMESTAMP '2026-09-30 15:00:00.000')) AS previous_visits
    FROM kept_visits
    WHERE ((dt IN ('2026-08-31', '2026-09-01', '2026-09-02', '2026-09-03', '2026-09-04', '2026-09-05', '2026-09-06', '2026-09-07', '2026-09-08', '2026-09-09', '2026-09-10', '2026-09-11', '2026-09-12', '2026-09-13', '2026-09-14', '2026-09-15', '2026-09-16', '2026-09-17', '2026-09-18', '2026-09-19', '2026-09-20', '2026-09-21', '2026-09-22', '2026-09-23', '2026-09-24', '2026-09-25', '2026-09-26', '2026-09-27', '2026-09-28', '2026-09-29', '2026-09-30', '2026-10-01', '2026-10-02', '2026-10-03', '2026-10-04', '2026-10-05', '2026-10-06', '2026-10-07', '2026-10-08', '2026-10-09', '2026-10-10', '2026-10-11', '2026-10-12', '2026-10-13', '2026-10-14', '2026-10-15', '2026-10-16', '2026-10-17', '2026-10-18', '2026-10-19', '2026-10-20')) OR (dt IN ('2026-09-30', '2026-10-01', '2026-10-02', '2026-10-03', '2026-10-04', '2026-10-05', '2026-10-06', '2026-10-07', '2026-10-08', '2026-10-09', '2026-10-10', '2026-10-11', '2026-10-12', '2026-10-13', '2026-10-14', '2026-10-15', '2026-10-16', '2026-10-17', '2026-10-18', '2026-10-19', '2026-10-20', '2026-10-21', '2026-10-22', '2026-10-23', '2026-10-24', '2026-10-25', '2026-10-26', '2026-10-27', '2026-10-28', '2026-10-29', '2026-10-30', '2026-10-31', '2026-11-01', '2026-11-02', '2026-11-03', '2026-11-04', '2026-11-05', '2026-11-06', '2026-11-07', '2026-11-08', '2026-11-09', '2026-11-10', '2026-11-11', '2026-11-12', '2026-11-13', '2026-11-14', '2026-11-15', '2026-11-16', '2026-11-17', '2026-11-18', '2026-11-19', '2026-11-20')))
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
WHERE visits > 0 AND "rank" <= 100
ORDER BY "rank"