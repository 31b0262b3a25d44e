
            SELECT COUNT(*) AS visits FROM kept_visits
            WHERE (dt IN ('2026-11-02', '2026-11-03', '2026-11-04', '2026-11-05', '2026-11-06', '2026-11-07', '2026-11-08')) AND (visited_at >= TIMESTAMP '2026-11-02 00:00:00.000' AND visited_at < TIMESTAMP '2026-11-09 00:00:00.000')