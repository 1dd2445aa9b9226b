//! What several runs allow to be claimed (docs/FIGURES.md, "Several runs").

use serde::{Deserialize, Serialize};

/// A summary of repeated measurements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Runs, failures and right-censored ones included.
    pub n: usize,
    /// Least, in nanoseconds.
    pub min: u64,
    /// Middle.
    pub median: u64,
    /// Largest.
    pub max: u64,
    /// 95th percentile as an order statistic; only from 20 runs on.
    pub p95: Option<u64>,
}

/// The spread of some values; `None` for none.
pub fn spread(values: &[u64]) -> Option<Spread> {
    let mut v = values.to_vec();
    v.sort_unstable();
    let (first, last) = (*v.first()?, *v.last()?);
    let n = v.len();
    let median = if n % 2 == 1 { v[n / 2] } else { v[n / 2 - 1].midpoint(v[n / 2]) };
    // The smallest order statistic with at least 95 % of the values at or below it.
    let p95 = (n >= 20).then(|| v[(n * 95).div_ceil(100) - 1]);
    Some(Spread { n, min: first, median, max: last, p95 })
}

/// The pass rate that `failures` in `n` runs leave possible at 95 % confidence: the lower end of the one-sided
/// Clopper-Pearson interval. For no failures it is 0.05^(1/n).
pub fn pass_rate_at_least(n: u64, failures: u64) -> f64 {
    if n == 0 || failures >= n {
        return 0.0;
    }
    if failures == 0 {
        return 0.05f64.powf(1.0 / n as f64);
    }
    // The p at which at most `failures` failures have probability 5 %, by bisection.
    let (mut low, mut high) = (0.0f64, 1.0f64);
    for _ in 0..100 {
        let p = low.midpoint(high);
        if at_most(n, failures, 1.0 - p) > 0.05 { high = p } else { low = p }
    }
    low
}

/// Probability of at most `k` events in `n` trials of probability `q`.
fn at_most(n: u64, k: u64, q: f64) -> f64 {
    let mut term = (1.0 - q).powf(n as f64);
    let mut sum = term;
    for i in 0..k {
        if q >= 1.0 {
            return 0.0;
        }
        term *= (n - i) as f64 / (i + 1) as f64 * q / (1.0 - q);
        sum += term;
    }
    sum
}

/// Runs without a miss (or with so few misses) that "at least this share passes" needs at 95 % confidence.
pub fn runs_needed(share: f64, misses: u64) -> u64 {
    let mut n = misses + 1;
    while n < 100_000 && pass_rate_at_least(n, misses) < share {
        n += 1;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_of_the_measurement_page() {
        for (n, bound) in [(1, 0.05), (4, 0.47), (12, 0.78), (30, 0.905), (59, 0.95), (100, 0.970)] {
            assert!((pass_rate_at_least(n, 0) - bound).abs() < 0.005, "{n}");
        }
        assert_eq!([runs_needed(0.95, 0), runs_needed(0.95, 1), runs_needed(0.95, 2)], [59, 93, 124]);
        assert_eq!(pass_rate_at_least(0, 0), 0.0);
        assert_eq!(pass_rate_at_least(3, 3), 0.0);
    }

    #[test]
    fn a_percentile_needs_twenty_runs() {
        let nineteen: Vec<u64> = (1..=19).collect();
        assert_eq!(spread(&nineteen).unwrap().p95, None);
        let twenty: Vec<u64> = (1..=20).collect();
        let s = spread(&twenty).unwrap();
        assert_eq!((s.min, s.median, s.max, s.p95), (1, 10, 20, Some(19)));
        assert_eq!(spread(&[]), None);
    }
}
