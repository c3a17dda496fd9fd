//! Sends log lines to logcat on Android, to the unified log on Apple systems, and to standard error elsewhere.
//!
//! The crate logs through the `log` facade, which also receives the `tracing` events of the crypto crate. Our log
//! lines never contain a secret, a user, room or session id, a URL or text from a server. Only the targets below are
//! let through.

use std::sync::Once;

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum LogLevel {
    /// Only bugs.
    Error,
    /// Also things that may need attention.
    Warn,
    /// Also the beginning and end of runs, and retries.
    Info,
    /// Also every step.
    Debug,
}

const OURS: &str = "keyferry";
/// Its info lines name rooms and sessions, so only warnings and errors are let through.
const CRYPTO: &str = "matrix_sdk_crypto";
const CRYPTO_LEVEL: log::LevelFilter = log::LevelFilter::Warn;

static ONCE: Once = Once::new();

/// Sends log lines of this level and above to the system's log: logcat on Android, the unified log on Apple systems,
/// standard error elsewhere. Call it once, when the app starts. A second call changes nothing, nor does a call in an
/// app that has set up the `log` crate itself.
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
        // Fails if the app has set up a logger of its own, which then stays in use.
        let _ = oslog::OsLogger::new("io.keyferry")
            .level_filter(log::LevelFilter::Off)
            .category_level_filter(super::OURS, level)
            .category_level_filter(super::CRYPTO, super::CRYPTO_LEVEL)
            .init();
    }
}

#[cfg(not(any(target_os = "android", target_vendor = "apple")))]
mod platform {
    pub(super) fn init(level: log::LevelFilter) {
        // Fails if the app has set up a logger of its own, which then stays in use.
        let _ = env_logger::Builder::new()
            .filter_level(log::LevelFilter::Off)
            .filter_module(super::OURS, level)
            .filter_module(super::CRYPTO, super::CRYPTO_LEVEL)
            .try_init();
    }
}
