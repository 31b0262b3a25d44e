-- The pages with most visits.
WITH counted AS (
    SELECT
        page,
        COUNT(*) FILTER (WHERE {{ period.contains("visited_at") }}) AS visits,
        COUNT(*) FILTER (WHERE {{ period.previous.contains("visited_at") }}) AS previous_visits
    FROM kept_visits
    WHERE {{ inputs.kept_visits.partitions }}
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
WHERE visits > 0 AND "rank" <= {{ params.top }}
ORDER BY "rank"
