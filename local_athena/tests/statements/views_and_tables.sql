-- Views as Athena stores them in Glue.
-- source: https://docs.aws.amazon.com/athena/latest/ug/views.html

-- a_view
SELECT * FROM sales_by_country ORDER BY country
--# "country","sales","amount"
--> "DE","2","9.00"
--> "JP","4","54.50"
--> "US","3","50.25"
--> ,"1","10.00"

-- a_view_filtered
SELECT country, amount / sales AS average FROM sales_by_country WHERE sales > 2 ORDER BY amount DESC
--> "JP","13.63"
--> "US","16.75"

-- a_view_of_a_struct
SELECT id, name FROM big_sales ORDER BY id
--> "3","Cy"
--> "4","Aiko"
--> "5","Ben"
--> "9","Aiko"
--> "10",""

-- a_view_of_a_view
SELECT * FROM big_tea_sales ORDER BY id
--# "id","name"
--> "3","Cy"
--> "5","Ben"

-- a_view_joined_to_its_table
SELECT s.country, count(*) AS n FROM big_sales AS b JOIN sales AS s ON s.id = b.id GROUP BY s.country ORDER BY s.country
--> "JP","2"
--> "US","3"

-- a_view_aggregated
SELECT sum(sales), sum(amount), count(*) FROM sales_by_country
--> "10","123.75","4"

-- a_view_by_its_full_name
SELECT count(*) FROM awsdatacatalog.db.big_sales AS b WHERE b.product = 'cake'
--> "2"

-- a_view_in_with_and_in_a_subquery
WITH v AS (SELECT * FROM big_sales) SELECT count(*) FROM v WHERE id IN (SELECT id FROM big_tea_sales)
--> "2"

-- a_column_that_a_view_does_not_have
SELECT quantity FROM big_sales
--! COLUMN_NOT_FOUND

-- Lines of JSON.
-- source: https://docs.aws.amazon.com/athena/latest/ug/parsing-json-data.html

-- json_lines
SELECT id, name, score FROM events_openx ORDER BY id
--> "1","start","1.5"
--> "2",,
--> "3","","-2.0"

-- json_lines_with_nested_columns
SELECT id, detail.size, detail.colors, cardinality(detail.colors) AS n FROM events_openx WHERE id < 3 ORDER BY id
--> "1","3","[red, blue]","2"
--> "2",,"[]","0"

-- json_lines_unnested
SELECT id, color FROM events_openx CROSS JOIN UNNEST(detail.colors) AS t (color) ORDER BY color
--> "1","blue"
--> "1","red"

-- json_lines_of_the_other_serde
SELECT count(*), count(name), sum(score), max(detail.size) FROM events_hive
--> "3","2","-0.5","3"

-- json_lines_a_struct_in_the_result
SELECT detail FROM events_hive WHERE id = 1
--> "{size=3, colors=[red, blue]}"

-- a_struct_that_is_null_in_json
SELECT id, detail IS NULL AS a, detail.size IS NULL AS b FROM events_hive ORDER BY id
--> "1","false","false"
--> "2","false","true"
--> "3","true","true"

-- Lines of CSV and of tabs.
-- source: https://docs.aws.amazon.com/athena/latest/ug/csv-serde.html

-- csv_with_quotes
SELECT name, city FROM people_csv ORDER BY name
--> "Aiko","Kyoto"
--> "Ben","Osaka, Japan"
--> "Cy","Reno"

-- csv_with_quotes_in_quotes
SELECT note FROM people_csv WHERE name = 'Aiko'
--> "says ""hi"", often"

-- csv_skips_its_header
SELECT count(*), count_if(name = 'name') FROM people_csv
--> "3","0"

-- csv_counts_by_a_condition
SELECT count_if(coalesce(note, '') = ''), max(length(city)) FROM people_csv
--> "1","12"

-- tabs_with_nulls
-- source: https://docs.aws.amazon.com/athena/latest/ug/lazy-simple-serde.html
SELECT product, pieces, price FROM stock_tsv ORDER BY price
--> "tea","12","3.5"
--> "coffee",,"4.25"
--> "","7",

-- tabs_summed
-- source: https://docs.aws.amazon.com/athena/latest/ug/lazy-simple-serde.html
SELECT sum(pieces), count(pieces), max(price), min(product) FROM stock_tsv
--> "19","2","4.25",""

-- tabs_joined_to_parquet
-- source: https://docs.aws.amazon.com/athena/latest/ug/lazy-simple-serde.html
SELECT t.product, t.pieces, count(s.id) AS sales FROM stock_tsv AS t LEFT JOIN sales AS s ON s.product = t.product GROUP BY t.product, t.pieces ORDER BY sales DESC, t.product
--> "tea","12","4"
--> "coffee",,"3"
--> "","7","0"

-- tabs_with_null_and_empty_texts_before_line_ends_of_windows
-- source: https://docs.aws.amazon.com/athena/latest/ug/lazy-simple-serde.html
SELECT sale, reason FROM returns_tsv ORDER BY sale
--> "1","broken"
--> "2",
--> "3",""

-- What a table knows of its files.
-- source: https://docs.aws.amazon.com/athena/latest/ug/select.html

-- path_of_a_table
SELECT DISTINCT "$path" FROM sales
--# "$path"
--> "s3://lake/sales/part-0.parquet"

-- path_of_partitions
SELECT "$path" AS path, count(*) AS n FROM visits GROUP BY "$path" ORDER BY 1
--> "s3://lake/visits/dt=2026-11-13/part-0.parquet","2"
--> "s3://lake/visits/dt=2026-11-14/part-0.parquet","3"
--> "s3://lake/visits/dt=2026-11-15/part-0.parquet","2"

-- condition_on_a_path
SELECT count(*) FROM visits WHERE "$path" LIKE '%dt=2026-11-14%'
--> "3"

-- path_is_not_in_a_star
SELECT * FROM stock_tsv WHERE product = 'tea' AND "$path" LIKE '%.txt'
--# "product","pieces","price"
--> "tea","12","3.5"

-- partitions_of_a_table
-- source: https://docs.aws.amazon.com/athena/latest/ug/show-partitions.html
SELECT * FROM "visits$partitions" ORDER BY dt
--# "dt"
--> "2026-11-13"
--> "2026-11-14"
--> "2026-11-15"

-- the_latest_partition
-- source: https://docs.aws.amazon.com/athena/latest/ug/show-partitions.html
SELECT max(dt) FROM "db"."visits$partitions"
--> "2026-11-15"

-- rows_of_the_latest_partition
-- source: https://docs.aws.amazon.com/athena/latest/ug/show-partitions.html
SELECT count(*) FROM visits WHERE dt = (SELECT max(dt) FROM "visits$partitions")
--> "2"

-- partitions_of_a_table_without_any
-- source: https://docs.aws.amazon.com/athena/latest/ug/show-partitions.html
SELECT * FROM "sales$partitions"
--! TABLE_NOT_FOUND

-- Tables with partitions, and tables without rows.
-- source: sql/select.html

-- a_condition_on_a_partition
SELECT dt, user_id, ms FROM visits WHERE dt BETWEEN '2026-11-13' AND '2026-11-14' AND ms > 90 ORDER BY dt, ms
--> "2026-11-13","u1","120"
--> "2026-11-14","u1","95"
--> "2026-11-14","u1","200"

-- everything_has_the_partition_last
SELECT * FROM visits WHERE dt = '2026-11-15' AND user_id = 'u2'
--# "user_id","url","ms","event","dt"
--> "u2","https://example.com/","60","{""type"":""view""}","2026-11-15"

-- a_partition_that_is_not_there
SELECT count(*) FROM visits WHERE dt = '2020-01-01'
--> "0"

-- an_empty_table
SELECT * FROM empty_sales
--# "id","sold_on","sold_at","country","product","quantity","price","tags","customer","attributes"
--> (no rows)

-- names_know_no_case
SELECT ID, "Country" FROM SALES WHERE Id = 1
--> "1","JP"

-- a_table_by_its_database
SELECT count(*) FROM db.sales, "db"."empty_sales"
--> "0"

-- a_table_that_is_not_there
SELECT * FROM nothing
--! TABLE_NOT_FOUND

-- a_database_that_is_not_there
SELECT * FROM nowhere.sales
--! SCHEMA_NOT_FOUND or TABLE_NOT_FOUND
