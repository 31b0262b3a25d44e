-- One row per user of the period, best first. Equal scores are ordered by plays, then by user_id, so the
-- order is total and a rerun gives the same rows. The previous rank counts all users of the previous period.
WITH events AS (
    SELECT
        user_id,
        user_name,
        score,
        played_at,
        event_id,
        (played_at >= TIMESTAMP '2024-01-31 15:00:00.000' AND played_at < TIMESTAMP '2024-02-29 15:00:00.000') AS is_current
    FROM plays
    WHERE ((dt IN ('2023-12-31', '2024-01-01', '2024-01-02', '2024-01-03', '2024-01-04', '2024-01-05', '2024-01-06', '2024-01-07', '2024-01-08', '2024-01-09', '2024-01-10', '2024-01-11', '2024-01-12', '2024-01-13', '2024-01-14', '2024-01-15', '2024-01-16', '2024-01-17', '2024-01-18', '2024-01-19', '2024-01-20', '2024-01-21', '2024-01-22', '2024-01-23', '2024-01-24', '2024-01-25', '2024-01-26', '2024-01-27', '2024-01-28', '2024-01-29', '2024-01-30', '2024-01-31', '2024-02-01')) OR (dt IN ('2024-01-31', '2024-02-01', '2024-02-02', '2024-02-03', '2024-02-04', '2024-02-05', '2024-02-06', '2024-02-07', '2024-02-08', '2024-02-09', '2024-02-10', '2024-02-11', '2024-02-12', '2024-02-13', '2024-02-14', '2024-02-15', '2024-02-16', '2024-02-17', '2024-02-18', '2024-02-19', '2024-02-20', '2024-02-21', '2024-02-22', '2024-02-23', '2024-02-24', '2024-02-25', '2024-02-26', '2024-02-27', '2024-02-28', '2024-02-29', '2024-03-01')))
        AND ((played_at >= TIMESTAMP '2023-12-31 15:00:00.000' AND played_at < TIMESTAMP '2024-01-31 15:00:00.000') OR (played_at >= TIMESTAMP '2024-01-31 15:00:00.000' AND played_at < TIMESTAMP '2024-02-29 15:00:00.000'))
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
