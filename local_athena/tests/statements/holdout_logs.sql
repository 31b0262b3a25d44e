-- Queries over the tables that AWS documents for its logs: load balancers, CloudFront, VPC, CloudTrail, S3, costs.
-- The columns are those of the documented tables; a few rows stand for the files.
-- source: https://docs.aws.amazon.com/athena/latest/ug/querying-aws-service-logs.html

-- alb_requests_by_verb_and_client
WITH alb_access_logs (time, client_ip, request_verb) AS (
  VALUES ('2026-11-09T01:02:03.123456Z', '10.0.0.1', 'GET'), ('2026-11-09T01:02:04.000001Z', '10.0.0.1', 'GET'),
         ('2026-11-09T02:00:00.000000Z', '10.0.0.2', 'POST'))
SELECT COUNT(request_verb) AS count, request_verb, client_ip
FROM alb_access_logs
GROUP BY request_verb, client_ip
ORDER BY count DESC
LIMIT 100;
--# "count","request_verb","client_ip"
--> "2","GET","10.0.0.1"
--> "1","POST","10.0.0.2"

-- alb_bytes_between_two_times
WITH alb_access_logs (time, client_ip, received_bytes) AS (
  VALUES ('2026-11-09T01:02:03.123456Z', '10.0.0.1', BIGINT '100'), ('2026-11-09T11:59:59.999999Z', '10.0.0.1', BIGINT '50'),
         ('2026-11-09T12:00:00.000001Z', '10.0.0.1', BIGINT '7'), ('2026-11-09T02:00:00.000000Z', '10.0.0.2', BIGINT '1'))
SELECT client_ip, sum(received_bytes)
FROM alb_access_logs
WHERE parse_datetime(time, 'yyyy-MM-dd''T''HH:mm:ss.SSSSSS''Z')
  BETWEEN parse_datetime('2026-11-09-00:00:00', 'yyyy-MM-dd-HH:mm:ss')
  AND parse_datetime('2026-11-09-12:00:00', 'yyyy-MM-dd-HH:mm:ss')
GROUP BY client_ip
ORDER BY 2 DESC
--# "client_ip","_col1"
--> "10.0.0.1","157"
--> "10.0.0.2","1"

-- alb_latency_percentiles_by_hour
WITH alb_access_logs (time, target_processing_time) AS (
  VALUES ('2026-11-09T01:02:03.123456Z', 0.5e0), ('2026-11-09T01:22:03.123456Z', 0.25e0), ('2026-11-09T01:42:03.123456Z', 0.75e0),
         ('2026-11-09T02:00:00.000000Z', 0.125e0))
SELECT date_trunc('hour', from_iso8601_timestamp(time)) AS hour, approx_percentile(target_processing_time, 0.5) AS p50, count(*) AS requests
FROM alb_access_logs
GROUP BY 1
ORDER BY 1
--# "hour","p50","requests"
--> "2026-11-09 01:00:00.000 UTC","0.5","3"
--> "2026-11-09 02:00:00.000 UTC","0.125","1"

-- alb_paths_of_errors
WITH alb_access_logs (request_url, elb_status_code) AS (
  VALUES ('https://shop.example.com:443/tea?q=1', 502), ('https://shop.example.com:443/tea?q=2', 503),
         ('https://shop.example.com:443/', 504), ('https://shop.example.com:443/cart', 200))
SELECT url_extract_path(request_url) AS path, count_if(elb_status_code = 502) AS bad_gateway, count(*) AS errors
FROM alb_access_logs
WHERE elb_status_code >= 500 AND elb_status_code < 600
GROUP BY url_extract_path(request_url)
ORDER BY errors DESC, path
--> "/tea","1","2"
--> "/","0","1"

-- alb_share_of_errors
WITH alb_access_logs (elb_status_code) AS (VALUES 200, 200, 301, 404, 500, 502, 200, 200)
SELECT CAST(elb_status_code / 100 AS varchar) || 'xx' AS class, count(*) AS requests,
       round(100.0 * count(*) / sum(count(*)) OVER (), 1) AS percent
FROM alb_access_logs GROUP BY 1 ORDER BY 1
--> "2xx","4","50.0"
--> "3xx","1","12.5"
--> "4xx","1","12.5"
--> "5xx","2","25.0"

-- cloudfront_bytes_between_dates
WITH cloudfront_standard_logs ("date", bytes, uri) AS (
  VALUES (DATE '2026-11-08', BIGINT '10', '/'), (DATE '2026-11-09', BIGINT '20', '/a'), (DATE '2026-11-11', BIGINT '30', '/a'))
SELECT SUM(bytes) AS total_bytes
FROM cloudfront_standard_logs
WHERE "date" BETWEEN DATE '2026-11-09' AND DATE '2026-11-11'
LIMIT 100
--# "total_bytes"
--> "50"

-- cloudfront_cache_hit_ratio
WITH logs (x_edge_result_type, sc_bytes) AS (VALUES ('Hit', 10), ('Miss', 20), ('RefreshHit', 5), ('Hit', 15), ('Error', 1))
SELECT round(sum(CASE WHEN x_edge_result_type IN ('Hit', 'RefreshHit') THEN 1 ELSE 0 END) * 100.0 / count(*), 2) AS hit_ratio,
       sum(CASE WHEN x_edge_result_type LIKE '%Hit' THEN sc_bytes END) AS bytes_of_hits
FROM logs
--> "60.0","30"

-- cloudfront_integer_ratio_truncates
SELECT SUM(CASE WHEN cache = 'Hit' THEN 1 ELSE 0 END) / COUNT(*) AS cache_hit_ratio FROM (VALUES 'Hit', 'Miss', 'Hit') AS t (cache)
--> "0"

-- cloudfront_date_and_time_to_a_timestamp
WITH logs (date, time) AS (VALUES ('2026-11-09', '23:59:59'), ('2026-11-10', '00:00:01'))
SELECT date_parse(date || ' ' || time, '%Y-%m-%d %H:%i:%s') AS at, hour(date_parse(concat(date, ' ', time), '%Y-%m-%d %H:%i:%S')) AS h
FROM logs ORDER BY 1
--> "2026-11-09 23:59:59.000","23"
--> "2026-11-10 00:00:01.000","0"

-- cloudfront_texts_of_numbers
WITH logs (sc_status, sc_bytes, time_taken) AS (VALUES ('200', '1024', '0.125'), ('404', '-', '0.5'), ('200', '1024', '0.25'))
SELECT sc_status, sum(try_cast(sc_bytes AS bigint)) AS bytes, max(CAST(time_taken AS double)) AS slowest
FROM logs GROUP BY sc_status ORDER BY sc_status
--> "200","2048","0.25"
--> "404",,"0.5"

-- vpc_rejected_by_day_of_week
WITH vpc_flow_logs (date, interface_id, srcaddr, action, protocol) AS (
  VALUES ('2026-11-09', 'eni-1', '10.0.0.1', 'REJECT', 6), ('2026-11-14', 'eni-2', '10.0.0.2', 'REJECT', 6),
         ('2026-11-10', 'eni-1', '10.0.0.1', 'ACCEPT', 6), ('2026-11-10', 'eni-1', '10.0.0.1', 'REJECT', 17))
SELECT day_of_week(from_iso8601_timestamp(date)) AS day, date, interface_id, srcaddr, action, protocol
FROM vpc_flow_logs
WHERE action = 'REJECT' AND protocol = 6
ORDER BY date
LIMIT 100
--# "day","date","interface_id","srcaddr","action","protocol"
--> "1","2026-11-09","eni-1","10.0.0.1","REJECT","6"
--> "6","2026-11-14","eni-2","10.0.0.2","REJECT","6"

-- vpc_packets_of_the_last_week
WITH vpc_flow_logs (dstaddr, dstport, packets, "date") AS (
  VALUES ('10.0.0.9', 443, BIGINT '10', DATE '2026-11-14'), ('10.0.0.9', 443, BIGINT '5', DATE '2026-11-09'),
         ('10.0.0.8', 443, BIGINT '2', DATE '2026-11-10'), ('10.0.0.8', 443, BIGINT '99', DATE '2026-11-08'), ('10.0.0.7', 80, BIGINT '1', DATE '2026-11-14'))
SELECT SUM(packets) AS packetcount, dstaddr
FROM vpc_flow_logs
WHERE dstport = 443 AND "date" > current_date - interval '7' day
GROUP BY dstaddr
ORDER BY packetcount DESC
LIMIT 10
--> "15","10.0.0.9"
--> "2","10.0.0.8"

-- vpc_start_and_end_are_seconds
WITH vpc_flow_logs ("start", "end", bytes) AS (VALUES (BIGINT '1794182400', BIGINT '1794182460', BIGINT '6000'))
SELECT from_unixtime("start") AS started, date_diff('second', from_unixtime("start"), from_unixtime("end")) AS seconds, bytes / ("end" - "start") AS rate
FROM vpc_flow_logs
--> "2026-11-09 00:00:00.000 UTC","60","100"

-- vpc_ports_by_name
WITH vpc_flow_logs (dstport, bytes) AS (VALUES (443, 10), (80, 5), (22, 1), (443, 20))
SELECT CASE dstport WHEN 443 THEN 'https' WHEN 80 THEN 'http' ELSE 'other' END AS service, sum(bytes) AS bytes
FROM vpc_flow_logs GROUP BY CASE dstport WHEN 443 THEN 'https' WHEN 80 THEN 'http' ELSE 'other' END ORDER BY bytes DESC
--> "https","30"
--> "http","5"
--> "other","1"

-- cloudtrail_users_of_an_event
WITH cloudtrail_logs (useridentity, eventname, eventtime) AS (
  SELECT CAST(ROW(type, arn) AS ROW(type varchar, arn varchar)), eventname, eventtime
  FROM (VALUES ('IAMUser', 'arn:aws:iam::1:user/ann', 'DeleteBucket', '2026-11-09T08:00:00Z'),
               ('AssumedRole', 'arn:aws:sts::1:assumed-role/etl/s1', 'PutObject', '2026-11-10T08:00:00Z'),
               ('IAMUser', 'arn:aws:iam::1:user/ben', 'DeleteBucket', '2026-10-10T08:00:00Z')) AS t (type, arn, eventname, eventtime))
SELECT useridentity.type, element_at(split(useridentity.arn, '/'), -1) AS who, eventname
FROM cloudtrail_logs
WHERE eventtime >= '2026-11-01T00:00:00Z' AND useridentity.arn LIKE 'arn:aws:%'
ORDER BY eventtime
--# "type","who","eventname"
--> "IAMUser","ann","DeleteBucket"
--> "AssumedRole","s1","PutObject"

-- cloudtrail_parameters_of_a_request
WITH cloudtrail_logs (eventname, requestparameters) AS (
  VALUES ('PutObject', '{"bucketName":"lake","key":"a/b.parquet","x-amz-acl":"private"}'), ('ListBuckets', 'null'), ('GetObject', NULL))
SELECT eventname, json_extract_scalar(requestparameters, '$.bucketName') AS bucket,
       json_extract_scalar(requestparameters, '$["x-amz-acl"]') AS acl
FROM cloudtrail_logs ORDER BY eventname
--> "GetObject",,
--> "ListBuckets",,
--> "PutObject","lake","private"

-- s3_access_logs_by_week
WITH logs (requestdatetime, operation, bytessent) AS (
  VALUES ('09/Nov/2026:08:00:00 +0000', 'REST.GET.OBJECT', BIGINT '10'), ('15/Nov/2026:23:59:59 +0000', 'REST.GET.OBJECT', BIGINT '5'),
         ('16/Nov/2026:00:00:00 +0000', 'REST.PUT.OBJECT', BIGINT '1'))
SELECT date_trunc('week', parse_datetime(requestdatetime, 'dd/MMM/yyyy:HH:mm:ss Z')) AS week, split_part(operation, '.', 2) AS verb, sum(bytessent) AS bytes
FROM logs GROUP BY 1, 2 ORDER BY 1
--> "2026-11-09 00:00:00.000 UTC","GET","15"
--> "2026-11-16 00:00:00.000 UTC","PUT","1"

-- cur_cost_by_day_and_usage_type
WITH cur (line_item_usage_start_date, line_item_usage_type, line_item_usage_amount, line_item_unblended_cost, line_item_line_item_type) AS (
  VALUES (TIMESTAMP '2026-11-09 01:00:00.000', 'USE1-BoxUsage:m5.large', 1.5e0, 0.144e0, 'Usage'),
         (TIMESTAMP '2026-11-09 23:00:00.000', 'USE1-BoxUsage:m5.large', 2.5e0, 0.24e0, 'Usage'),
         (TIMESTAMP '2026-11-10 00:00:00.000', 'DataTransfer-Out-Bytes', 3.0e0, 0.27e0, 'Usage'),
         (TIMESTAMP '2026-11-10 00:00:00.000', 'Tax', 1.0e0, 9.0e0, 'Tax'))
SELECT DATE_FORMAT((line_item_usage_start_date), '%Y-%m-%d') AS day, SPLIT_PART(line_item_usage_type, ':', 2) AS instance,
       SUM(CAST(line_item_usage_amount AS double)) AS amount, SUM(CAST(line_item_unblended_cost AS decimal(16,8))) AS cost
FROM cur
WHERE line_item_line_item_type NOT IN ('Tax','Credit','Refund','EdpDiscount')
GROUP BY DATE_FORMAT((line_item_usage_start_date), '%Y-%m-%d'), SPLIT_PART(line_item_usage_type, ':', 2)
ORDER BY cost DESC, day
--# "day","instance","amount","cost"
--> "2026-11-09","m5.large","4.0","0.38400000"
--> "2026-11-10",,"3.0","0.27000000"

-- cur_purchase_options
WITH cur (line_item_line_item_type, line_item_unblended_cost, reservation_effective_cost, reservation_reservation_a_r_n) AS (
  VALUES ('Usage', 10.5e0, 0e0, ''), ('DiscountedUsage', 0e0, 4.25e0, 'arn'), ('RIFee', 99e0, 0e0, 'arn'), ('Fee', 50e0, 0e0, 'arn'))
SELECT (CASE WHEN ("line_item_line_item_type" = 'DiscountedUsage') THEN 'Reserved Instance'
             WHEN ("line_item_line_item_type" = 'Usage') THEN 'OnDemand' ELSE 'Others' END) purchase_option,
       sum(CASE WHEN ("line_item_line_item_type" = 'DiscountedUsage') THEN "reservation_effective_cost"
                WHEN (("line_item_line_item_type" = 'Fee') AND ("reservation_reservation_a_r_n" <> '')) THEN 0
                ELSE "line_item_unblended_cost" END) "amortized_cost"
FROM cur GROUP BY 1 ORDER BY 1
--> "OnDemand","10.5"
--> "Others","99.0"
--> "Reserved Instance","4.25"

-- cur_partitions_of_months_that_are_texts
WITH cur (year, month, cost) AS (VALUES ('2026', '9', 1.0e0), ('2026', '10', 2.0e0), ('2026', '11', 4.0e0), ('2025', '11', 8.0e0))
SELECT year, month, cost FROM cur WHERE year = '2026' AND (month BETWEEN '7' AND '9' OR month BETWEEN '10' AND '11') ORDER BY CAST(month AS integer)
--> "2026","9","1.0"
--> "2026","10","2.0"
--> "2026","11","4.0"

-- cur_month_of_the_bill
SELECT date_format(date_trunc('month', current_date) - interval '1' month, '%Y-%m-01') AS last_month,
       date_trunc('month', current_date) - interval '1' day AS last_day, CAST(year(current_date) AS varchar) AS year
--> "2026-10-01","2026-10-31","2026"

-- waf_rules_that_end_requests
WITH waf_logs (timestamp, action, terminatingruleid) AS (VALUES (1794182400000, 'BLOCK', 'r1'), (1794182401500, 'BLOCK', 'r1'), (1794268800000, 'ALLOW', 'Default_Action'))
SELECT date(from_unixtime(timestamp / 1000)) AS day, terminatingruleid, count(*) AS n,
       max(from_unixtime(timestamp / 1000e0)) AS last
FROM waf_logs WHERE action = 'BLOCK' GROUP BY 1, 2
--> "2026-11-09","r1","2","2026-11-09 00:00:01.500 UTC"

-- waf_milliseconds_since_the_epoch
SELECT from_unixtime(1794182400123 / 1000.0) AS at, date_format(from_unixtime(1794182400), '%Y-%m-%d %H:%i:%s') AS text, to_unixtime(from_unixtime(1794182400)) AS seconds
--> "2026-11-09 00:00:00.123 UTC","2026-11-09 00:00:00","1.7941824E9"

-- waf_headers_of_requests
-- source: https://docs.aws.amazon.com/athena/latest/ug/query-examples-waf-logs-count.html
WITH waf_logs (httprequest, "date") AS (
  SELECT CAST(ROW(ip, ARRAY[ROW('Referer', r), ROW('Host', 'x')]) AS ROW(clientip varchar, headers array(row(name varchar, value varchar)))), d
  FROM (VALUES ('10.0.0.1', 'https://amazon.com', '2026/11/09'), ('10.0.0.2', 'https://example.com', '2026/11/09'), ('10.0.0.3', 'https://amazon.de', '2026/12/09')) AS t (ip, r, d)),
test_dataset AS (SELECT header FROM waf_logs CROSS JOIN UNNEST(httprequest.headers) AS t(header) WHERE "date" >= '2026/11/01' AND "date" < '2026/12/01')
SELECT COUNT(*) referer_count FROM test_dataset WHERE LOWER(header.name)='referer' AND header.value LIKE '%amazon%'
--# "referer_count"
--> "1"

-- two_arrays_of_rows_with_a_name_each
-- source: https://docs.aws.amazon.com/athena/latest/ug/query-examples-waf-logs-count.html
SELECT a.name AS a, b.name AS b, n FROM (SELECT ARRAY[CAST(ROW('x', 1) AS row(name varchar, n integer))] AS l, ARRAY[CAST(ROW('y', 2) AS row(name varchar, m integer)), NULL] AS r)
CROSS JOIN UNNEST(l, r) WITH ORDINALITY AS t (a, b, n) ORDER BY n
--> "x","y","1"
--> ,,"2"

-- rows_of_an_array_by_their_fields
-- source: sql/select.html#unnest
SELECT language, year FROM UNNEST(ARRAY[ROW('Java', 1995), ROW('SQL', 1974)]) AS t (language, year) ORDER BY year
--> "SQL","1974"
--> "Java","1995"
