"""What is said over HTTP, both ways: what is written here stands in `/openapi.json`."""
