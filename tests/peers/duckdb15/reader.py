"""Run by DuckDB 1.5's own interpreter: queries from standard input, answers as JSON to standard output.

In: {"file": path, "read_only": bool, "queries": [[name, sql], ...]}. Out: {"version": ..., "answers": {name:
{"columns": [[name, type], ...], "rows": [[...], ...], "count": n, "seconds": s} or {"error": text}}}.
"""

import json
import sys
import time

import duckdb

KEPT_ROWS = 50


def _answer(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, object]:
    begun = time.perf_counter()
    try:
        relation = connection.sql(sql)
        if relation is None:
            return {"columns": [], "rows": [], "count": 0, "seconds": time.perf_counter() - begun}
        rows = relation.fetchall()
    except duckdb.Error as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        "columns": [[name, str(kind)] for name, kind in zip(relation.columns, relation.types, strict=True)],
        "rows": [[None if value is None else str(value) for value in row] for row in rows[:KEPT_ROWS]],
        "count": len(rows),
        "seconds": time.perf_counter() - begun,
    }


def _main() -> None:
    asked = json.load(sys.stdin)
    try:
        connection = duckdb.connect(asked["file"], read_only=asked["read_only"])
        connection.execute("SET TimeZone = 'UTC'")
        answers = {name: _answer(connection, sql) for name, sql in asked["queries"]}
    except duckdb.Error as error:
        answers = {name: {"error": f"{type(error).__name__}: {error}"} for name, _sql in asked["queries"]}
    json.dump({"version": duckdb.__version__, "answers": answers}, sys.stdout)


_main()
