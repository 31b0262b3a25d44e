-- One row per user of the period, best first. Equal scores are ordered by plays, then by user_id, so the
-- order is total and a rerun gives the same rows. The previous rank counts all users of the previous period.
WITH events AS (
    SELECT
        user_id,
        user_name,
        score,
        played_at,
        event_id,
        (played_at >= TIMESTAMP '2025-03-01 15:00:00.000' AND played_at < TIMESTAMP '2025-03-08 15:00:00.000') AS is_current
    FROM plays
    WHERE ((dt IN ('2025-02-22', '2025-02-23', '2025-02-24', '2025-02-25', '2025-02-26', '2025-02-27', '2025-02-28', '2025-03-01', '2025-03-02')) OR (dt IN ('2025-03-01', '2025-03-02', '2025-03-03', '2025-03-04', '2025-03-05', '2025-03-06', '2025-03-07', '2025-03-08', '2025-03-09')))
        AND ((played_at >= TIMESTAMP '2025-02-22 15:00:00.000' AND played_at < TIMESTAMP '2025-03-01 15:00:00.000') OR (played_at >= TIMESTAMP '2025-03-01 15:00:00.000' AND played_at < TIMESTAMP '2025-03-08 15:00:00.000'))
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
WHERE plays > 0 AND current_rank <= 100
ORDER BY current_rank
