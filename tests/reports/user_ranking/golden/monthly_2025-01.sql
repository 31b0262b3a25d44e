-- One row per user of the period, best first. Equal scores are ordered by plays, then by user_id, so the
-- order is total and a rerun gives the same rows. The previous rank counts all users of the previous period.
WITH events AS (
    SELECT
        user_id,
        user_name,
        score,
        played_at,
        event_id,
        (played_at >= TIMESTAMP '2024-12-31 15:00:00.000' AND played_at < TIMESTAMP '2025-01-31 15:00:00.000') AS is_current
    FROM plays
    WHERE ((dt IN ('2024-11-30', '2024-12-01', '2024-12-02', '2024-12-03', '2024-12-04', '2024-12-05', '2024-12-06', '2024-12-07', '2024-12-08', '2024-12-09', '2024-12-10', '2024-12-11', '2024-12-12', '2024-12-13', '2024-12-14', '2024-12-15', '2024-12-16', '2024-12-17', '2024-12-18', '2024-12-19', '2024-12-20', '2024-12-21', '2024-12-22', '2024-12-23', '2024-12-24', '2024-12-25', '2024-12-26', '2024-12-27', '2024-12-28', '2024-12-29', '2024-12-30', '2024-12-31', '2025-01-01')) OR (dt IN ('2024-12-31', '2025-01-01', '2025-01-02', '2025-01-03', '2025-01-04', '2025-01-05', '2025-01-06', '2025-01-07', '2025-01-08', '2025-01-09', '2025-01-10', '2025-01-11', '2025-01-12', '2025-01-13', '2025-01-14', '2025-01-15', '2025-01-16', '2025-01-17', '2025-01-18', '2025-01-19', '2025-01-20', '2025-01-21', '2025-01-22', '2025-01-23', '2025-01-24', '2025-01-25', '2025-01-26', '2025-01-27', '2025-01-28', '2025-01-29', '2025-01-30', '2025-01-31', '2025-02-01')))
        AND ((played_at >= TIMESTAMP '2024-11-30 15:00:00.000' AND played_at < TIMESTAMP '2024-12-31 15:00:00.000') OR (played_at >= TIMESTAMP '2024-12-31 15:00:00.000' AND played_at < TIMESTAMP '2025-01-31 15:00:00.000'))
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
WHERE plays > 0 AND current_rank <= 1000
ORDER BY current_rank
