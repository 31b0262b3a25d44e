"""The forms of queries that the local Athena runs, and the tables that they read."""

TABLES = {
    "plays": {
        "user_id": "string",
        "score": "bigint",
        "played_at": "timestamp",
        "order": "int",
        "dt": "string",
    },
    "users": {"user_id": "string", "name": "string", "country": "string"},
    "nested": {
        "Id": "bigint",  # Glue keeps the capitals of a table that another service has made
        "tags": "array<string>",
        "attributes": "map<string,int>",
        "info": "struct<city:string,place:struct<lat:double>>",
    },
}
RIGHT = [
    "SELECT * FROM plays",
    "SELECT p.*, 1 AS one FROM db.plays AS p",
    'SELECT USER_ID, "Score", P.Score FROM Plays AS p WHERE "P".dt = \'x\'',
    'SELECT "order" FROM plays ORDER BY "order"',
    "WITH a AS (SELECT user_id AS u, SUM(score) AS s FROM plays GROUP BY 1) SELECT u, s FROM a",
    "WITH a (x, y) AS (SELECT user_id, score FROM plays), b AS (SELECT * FROM a) SELECT y FROM b",
    "WITH plays AS (SELECT 1 AS one FROM db.plays) SELECT one FROM plays",
    "SELECT user_id, name, score FROM plays JOIN users USING (user_id)",
    "SELECT * FROM plays JOIN users USING (user_id)",
    "SELECT p.score, u.name FROM plays p LEFT JOIN users u ON p.user_id = u.user_id",
    "SELECT s.n FROM (SELECT COUNT(*) AS n FROM plays) AS s",
    "SELECT s.m FROM (SELECT COUNT(*) FROM plays) AS s (m)",
    "SELECT user_id FROM plays WHERE score > (SELECT AVG(score) FROM plays)",
    "SELECT user_id FROM plays p WHERE EXISTS"
    " (SELECT 1 FROM users u WHERE u.user_id = p.user_id AND name <> p.dt AND score > 1)",
    "SELECT user_id FROM plays p WHERE EXISTS (SELECT 1 FROM users u WHERE EXISTS"
    " (SELECT 1 FROM users v WHERE v.user_id = p.user_id AND score > 1))",
    "SELECT RANK() OVER (PARTITION BY user_id ORDER BY score DESC) AS r FROM plays ORDER BY r",
    "SELECT user_id AS u FROM plays UNION ALL SELECT name FROM users ORDER BY u",
    "SELECT user_id AS u, SUM(score) AS total FROM plays GROUP BY user_id ORDER BY total, u",
    "SELECT score * 2 AS double_score FROM plays ORDER BY double_score + 1",
    "SELECT DATE_TRUNC('day', played_at) AS day FROM plays GROUP BY 1 ORDER BY day",
    "SELECT EXTRACT(YEAR FROM played_at) AS y, DATE_ADD('day', 1, played_at) AS d FROM plays",
    "SELECT played_at AT TIME ZONE 'Asia/Tokyo' AS t, DOUBLE '1.5' AS d FROM plays",
    "SELECT COUNT(*) FILTER (WHERE score > 1) AS n, IF(score > 1, user_id) AS u FROM plays GROUP BY"
    " score, user_id",
    "SELECT v.a, b FROM plays, (VALUES (1, 2)) AS v (a, b)",
    "SELECT CAST(score AS VARCHAR) AS text FROM plays WHERE score IS DISTINCT FROM 1",
    "SELECT user_id FROM plays GROUP BY user_id HAVING SUM(score) > 1",
    "SELECT x.user_id FROM (SELECT user_id FROM plays) AS x JOIN (SELECT user_id FROM users) AS y"
    " ON x.user_id = y.user_id",
    "(SELECT user_id AS u FROM plays) ORDER BY u",
    "SELECT MAX_BY(user_id, score) AS best FROM plays",
    "SELECT score FROM plays EXCEPT SELECT 1",
    'SELECT score AS "table" FROM plays ORDER BY "table"',
]
