//! Random bytes, straight from the operating system.
//!
//! Not from aws-lc, whose generator first measures the jitter of the clock for 25 ms or more.

use zeroize::Zeroizing;

/// Returns random bytes for keys, salts and nonces.
pub(crate) fn random<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).expect("the system has random bytes");
    bytes
}

/// Returns a random number from 0 to 1, used to spread out waits.
pub(crate) fn dice() -> f64 {
    f64::from(u32::from_le_bytes(*random())) / f64::from(u32::MAX)
}
