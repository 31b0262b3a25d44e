
            SELECT COUNT(*) AS visits FROM kept_visits
            WHERE (dt IN ('2026-11-09', '2026-11-10', '2026-11-11', '2026-11-12', '2026-11-13', '2026-11-14', '2026-11-15')) AND (visited_at >= TIMESTAMP '2026-11-09 00:00:00.000' AND visited_at < TIMESTAMP '2026-11-16 00:00:00.000')