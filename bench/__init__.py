"""Side-by-side measurements of docs/benchmarks.md. Not tests: nothing here passes or fails by the clock."""
