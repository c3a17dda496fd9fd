//! Where log lines go: logcat on Android, the unified log on Apple systems, standard error elsewhere.
//!
//! The `log` facade is used throughout; the crypto crate's `tracing` ends in it too. No secret, no user, room or session
//! id, no URL and no server text is in any line of ours. Only these targets are let through.

use std::sync::Once;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    /// Only bugs.
    Error,
    /// What may need attention.
    Warn,
    /// Beginning and end of runs, retries.
    Info,
    /// Every step.
    Debug,
}

const OURS: &str = "keyferry";
/// Its info lines name rooms and sessions: only what is wrong is let through.
const CRYPTO: &str = "matrix_sdk_crypto";
const CRYPTO_LEVEL: log::LevelFilter = log::LevelFilter::Warn;

static ONCE: Once = Once::new();

/// Sends log lines of this level and above to the system's log. Call it once, at the start of the app; a second call, and
/// an app that has set up the `log` crate itself, change nothing.
#[uniffi::export]
pub fn init_logging(level: LogLevel) {
    let level = match level {
        LogLevel::Error => log::LevelFilter::Error,
        LogLevel::Warn => log::LevelFilter::Warn,
        LogLevel::Info => log::LevelFilter::Info,
        LogLevel::Debug => log::LevelFilter::Debug,
    };
    ONCE.call_once(|| platform::init(level));
}

#[cfg(target_os = "android")]
mod platform {
    pub(super) fn init(level: log::LevelFilter) {
        let targets = format!("{}={level},{}={}", super::OURS, super::CRYPTO, super::CRYPTO_LEVEL);
        let filter = android_logger::FilterBuilder::new().parse(&targets).build();
        android_logger::init_once(
            android_logger::Config::default()
                .with_max_level(level)
                .with_tag(super::OURS)
                .with_filter(filter),
        );
    }
}

#[cfg(target_vendor = "apple")]
mod platform {
    pub(super) fn init(level: log::LevelFilter) {
        // Fails if the app has a logger of its own, which is then the one.
        let _ = oslog::OsLogger::new("org.matrix.keyferry")
            .level_filter(log::LevelFilter::Off)
            .category_level_filter(super::OURS, level)
            .category_level_filter(super::CRYPTO, super::CRYPTO_LEVEL)
            .init();
    }
}

#[cfg(not(any(target_os = "android", target_vendor = "apple")))]
mod platform {
    pub(super) fn init(level: log::LevelFilter) {
        // Fails if the app has a logger of its own, which is then the one.
        let _ = env_logger::Builder::new()
            .filter_level(log::LevelFilter::Off)
            .filter_module(super::OURS, level)
            .filter_module(super::CRYPTO, super::CRYPTO_LEVEL)
            .try_init();
    }
}
