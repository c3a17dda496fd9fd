//! Random bytes, straight from the operating system.
//!
//! Not from aws-lc: its generator first measures the jitter of the clock for 25 ms and more.

use zeroize::Zeroizing;

/// Random bytes for keys, salts and nonces.
pub(crate) fn random<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).expect("the system has random bytes");
    bytes
}

/// A random number from 0 to 1, to spread waits with.
pub(crate) fn dice() -> f64 {
    f64::from(u32::from_le_bytes(*random())) / f64::from(u32::MAX)
}
