"""What the agent is for: cost summaries and recommendations."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from sqlalchemy import Engine, text

router = APIRouter(prefix="/api/v1")

Account = Annotated[str | None, Query(max_length=64, description="An account id; all when absent")]

_ACCOUNT_EXISTS = text("SELECT 1 FROM cost.accounts WHERE id = :account")
# The last `days` days there is data for, not the last by the calendar.
_SUMMARY = text("""
    SELECT service, sum(amount) AS amount, min(day) AS first_day, max(day) AS last_day
    FROM cost.line_items
    WHERE (:account IS NULL OR account_id = :account)
      AND day > (SELECT max(day) FROM cost.line_items) - :days
    GROUP BY service
    ORDER BY amount DESC
""")
_RECOMMENDATIONS = text("""
    SELECT id, account_id AS account, service, action, monthly_saving
    FROM cost.recommendations
    WHERE :account IS NULL OR account_id = :account
    ORDER BY monthly_saving DESC, id
    LIMIT :limit
""")


def _rows(engine: Engine, statement: Any, account: str | None, **values: int) -> list[Any]:
    """Rows as mappings; a 404 when the account does not exist."""
    with engine.connect() as connection:
        if account is not None and connection.scalar(_ACCOUNT_EXISTS, {"account": account}) is None:
            raise HTTPException(404, f"no account {account!r}")
        result = connection.execute(statement, {"account": account, **values})
        return list(result.mappings())


def _summary(engine: Engine, account: str | None, days: int) -> dict[str, Any]:
    rows = _rows(engine, _SUMMARY, account, days=days)
    return {
        "account": account,
        "days": days,
        "from": min((row["first_day"] for row in rows), default=None),
        "to": max((row["last_day"] for row in rows), default=None),
        "currency": "USD",
        "total": round(float(sum(row["amount"] for row in rows)), 2),
        "services": [
            {"service": row["service"], "amount": round(float(row["amount"]), 2)} for row in rows
        ],
    }


@router.get("/costs/summary")
def summary(
    request: Request, account: Account = None, days: Annotated[int, Query(ge=1, le=365)] = 30
) -> Response:
    """Cost per service over the last days; the header X-Cache says hit, miss or unavailable."""
    cache = request.app.state.cache
    key = f"cost-agent:summary:{account or ''}:{days}"
    body, outcome = cache.get(key)
    if body is None:
        body = json.dumps(_summary(request.app.state.engine, account, days), default=str)
        if outcome == "miss":
            cache.put(key, body)
    return Response(body, media_type="application/json", headers={"X-Cache": outcome})


@router.get("/recommendations")
def recommendations(
    request: Request, account: Account = None, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[dict[str, Any]]:
    """Possible savings, the largest first."""
    rows = _rows(request.app.state.engine, _RECOMMENDATIONS, account, limit=limit)
    return [{**row, "monthly_saving": float(row["monthly_saving"])} for row in rows]
