-- One row per user of the period, best first. Equal scores are ordered by plays, then by user_id, so the
-- order is total and a rerun gives the same rows. The previous rank counts all users of the previous period.
WITH events AS (
    SELECT
        user_id,
        user_name,
        score,
        played_at,
        event_id,
        {{ period.contains("played_at") }} AS is_current
    FROM plays
    WHERE {{ inputs.plays.partitions }}
        AND ({{ period.previous.contains("played_at") }} OR {{ period.contains("played_at") }})
),

totals AS (
    SELECT
        user_id,
        -- a user who renames is listed under the latest name within the period
        MAX_BY(user_name, ROW(played_at, event_id))
            FILTER (WHERE is_current AND user_name IS NOT NULL) AS user_name,
        SUM(score) FILTER (WHERE is_current) AS score,
        COUNT(*) FILTER (WHERE is_current) AS plays,
        SUM(score) FILTER (WHERE NOT is_current) AS previous_score,
        COUNT(*) FILTER (WHERE NOT is_current) AS previous_plays
    FROM events
    GROUP BY user_id
),

ranked AS (
    SELECT
        user_id,
        user_name,
        score,
        plays,
        previous_plays,
        -- absent users come last in both orders, so they take no rank from anyone
        ROW_NUMBER() OVER (ORDER BY score DESC NULLS LAST, plays DESC, user_id ASC) AS current_rank,
        ROW_NUMBER() OVER (ORDER BY previous_score DESC NULLS LAST, previous_plays DESC, user_id ASC)
            AS rank_before
    FROM totals
)

SELECT
    current_rank AS "rank",
    user_id,
    user_name,
    score,
    plays,
    CASE WHEN previous_plays > 0 THEN rank_before END AS previous_rank
FROM ranked
WHERE plays > 0 AND current_rank <= {{ params.top }}
ORDER BY current_rank
