-- The cost schema with generated data: the same rows every time, so that a
-- restored copy can be compared row by row.
-- Run once, in one transaction, under an advisory lock (database.py).

CREATE SCHEMA cost;

CREATE TABLE cost.accounts (
    id text PRIMARY KEY,
    name text NOT NULL,
    monthly_budget numeric(12, 2) NOT NULL
);

CREATE TABLE cost.line_items (
    account_id text NOT NULL REFERENCES cost.accounts,
    day date NOT NULL,
    service text NOT NULL,
    amount numeric(12, 4) NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (account_id, day, service)
);
CREATE INDEX line_items_day ON cost.line_items (day);

CREATE TABLE cost.recommendations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id text NOT NULL REFERENCES cost.accounts,
    service text NOT NULL,
    action text NOT NULL,
    monthly_saving numeric(12, 2) NOT NULL CHECK (monthly_saving > 0)
);

INSERT INTO cost.accounts (id, name, monthly_budget)
SELECT 'acc-' || to_char(n, 'FM000'), 'Team ' || n, 500 + 250 * n
FROM generate_series(1, 20) AS n;

-- A level per account, a factor per service, a week's rhythm and slow growth.
INSERT INTO cost.line_items (account_id, day, service, amount)
SELECT
    'acc-' || to_char(n, 'FM000'),
    date '2024-10-26' + d,
    service,
    round((10 + n) * factor * (1 + 0.2 * sin(d * pi() / 3.5)::numeric) * (1 + d / 600.0), 4)
FROM generate_series(1, 20) AS n
CROSS JOIN generate_series(0, 89) AS d
CROSS JOIN (
    VALUES ('compute', 1.0), ('storage', 0.4), ('network', 0.25), ('database', 0.7), ('inference', 1.6)
) AS services (service, factor);

INSERT INTO cost.recommendations (account_id, service, action, monthly_saving)
SELECT
    account_id,
    service,
    CASE service
        WHEN 'compute' THEN 'Resize idle instances'
        WHEN 'storage' THEN 'Move cold data to a cheaper class'
        ELSE 'Reserve capacity for one year'
    END,
    round(sum(amount) * 0.15 / 3, 2)
FROM cost.line_items
WHERE service IN ('compute', 'storage', 'inference')
GROUP BY account_id, service
ORDER BY account_id, service;

ANALYZE cost.accounts, cost.line_items, cost.recommendations;
