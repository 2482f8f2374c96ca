"""Times queries on a file. Knows nothing but DuckDB, so that an interpreter with another release runs it too.

In, on standard input: {"file": path, "runs": n, "queries": [[name, sql], ...]}. Out: {"version": text,
"seconds": {name: [s, ...]}, "rows": {name: n}, "errors": {name: text}}. Each run asks every query once, on
one connection, as Grafana's plug-in holds one; the first run finds nothing in memory.
"""

import json
import sys
import time

import duckdb


def main() -> None:
    """Raises: duckdb.Error when the file cannot be opened."""
    asked = json.load(sys.stdin)
    seconds: dict[str, list[float]] = {}
    rows: dict[str, int] = {}
    errors: dict[str, str] = {}
    connection = duckdb.connect(asked["file"], read_only=True)
    connection.execute("SET TimeZone = 'UTC'")
    for _ in range(asked["runs"]):
        for name, sql in asked["queries"]:
            begun = time.perf_counter()
            try:
                rows[name] = len(connection.execute(sql).fetchall())
            except duckdb.Error as error:
                errors[name] = f"{type(error).__name__}: {error}"
                continue
            seconds.setdefault(name, []).append(time.perf_counter() - begun)
    json.dump({"version": duckdb.__version__, "seconds": seconds, "rows": rows, "errors": errors}, sys.stdout)


if __name__ == "__main__":
    main()
