-- Costs and logs as a real database holds them: text of a few thousand words, jsonb, numbers,
-- uuids. Goes into a database that `pgbench --initialize --scale=78` has filled; with
-- `--set=rows=1035000` both together are about 1.5 GB as SQL. The same rows every time, except
-- for the uuids.
\set ON_ERROR_STOP on

CREATE TABLE resource_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    resource_id uuid NOT NULL,
    service text NOT NULL,
    region text NOT NULL,
    observed_at timestamptz NOT NULL,
    cost numeric(14, 6) NOT NULL,
    tags jsonb NOT NULL,
    log text,
    note text
);

SELECT setseed(0.42);

-- Sentences of 18 to 37 words. Frequent words are frequent: the square of an even distribution.
CREATE FUNCTION pg_temp.sentences(count int)
RETURNS TABLE (n int, sentence text) LANGUAGE plpgsql AS $$
DECLARE
    words text[] := ARRAY(
        SELECT substr(translate(md5(i || 'x'), '0123456789', 'aeioulnrst'), 1, 3 + i % 8)
        FROM generate_series(0, 3999) AS i
    );
BEGIN
    FOR i IN 1..count LOOP
        n := i;
        sentence := '';
        FOR j IN 1..18 + i % 20 LOOP
            sentence := sentence || words[1 + (power(random(), 2) * 3999)::int] || ' ';
        END LOOP;
        RETURN NEXT;
    END LOOP;
END $$;

INSERT INTO resource_events (resource_id, service, region, observed_at, cost, tags, log, note)
SELECT
    gen_random_uuid(),
    ('{ec2,s3,rds,lambda,eks,cloudwatch,elb,gpu-node}'::text[])[1 + n % 8],
    ('{us-east-1,us-west-2,eu-west-1,eu-central-1,ap-south-1}'::text[])[1 + floor(random() * 5)::int],
    timestamptz '2025-01-01' + n * interval '7.3 seconds' + random() * interval '5 seconds',
    (random() * 1000)::numeric(14, 6),
    jsonb_build_object(
        'owner', 'team-' || (random() * 60)::int,
        'env', ('{prod,staging,dev}'::text[])[1 + n % 3],
        'instance_type', 'm' || n % 7 || '.' || ('{large,xlarge,2xlarge}'::text[])[1 + n % 3],
        'cpu_avg', round((random() * 100)::numeric, 3),
        'mem_avg', round((random() * 100)::numeric, 3),
        'arn', 'arn:aws:ec2:us-east-1:123456789012:instance/i-' || substr(md5(random()::text), 1, 17),
        'cost_center', (random() * 200)::int,
        'idle_hours', (random() * 720)::int,
        'labels', jsonb_build_array('l' || (random() * 400)::int, 'x' || (random() * 3000)::int)
    ),
    'level=' || ('{info,warn,error}'::text[])[1 + n % 3] || ' msg="' || sentence || '" latency_ms='
    || round((random() * 900)::numeric, 2) || ' req=' || md5(random()::text),
    CASE WHEN n % 5 = 0 THEN sentence || reverse(sentence) END
FROM pg_temp.sentences(:rows);

VACUUM ANALYZE resource_events;
