//! Nothing: cargo wants something beside a benchmark.
