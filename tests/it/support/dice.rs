//! Chance that a seed repeats.

/// A small random number generator: the same seed repeats the same test.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// Returns a number from 0 to below 1.
    pub(crate) fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a number from 0 to below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.next() * count as f64) as usize
    }
}

/// Returns the seed that the environment names, or else the usual one.
pub(crate) fn seed() -> u64 {
    number_from_env("KEYFERRY_SEED", 20_261_121)
}

/// Reads a number from a variable of the environment.
pub(crate) fn number_from_env(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.and_then(|value| value.parse().ok()).unwrap_or(default)
}
