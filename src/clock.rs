//! The clocks, and the identity of this process. Both decide whether the holder of a lease is still alive.

use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// Returns the milliseconds since the system was started. This clock does not jump, and does not stop while the
/// device sleeps.
pub(crate) fn boot_ms() -> i64 {
    // On Apple systems the monotonic clock continues during sleep; on Linux and Android the boot-time clock does.
    #[cfg(target_vendor = "apple")]
    let clock = rustix::time::ClockId::Monotonic;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(unix)]
    {
        let now = rustix::time::clock_gettime(clock);
        now.tv_sec * 1_000 + now.tv_nsec / 1_000_000
    }
    #[cfg(not(unix))]
    {
        static BEGAN: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
        BEGAN.elapsed().as_millis() as i64
    }
}

/// Returns the milliseconds since 1970. This clock may jump in both directions: use it only for display, and for
/// waits that have another bound.
pub(crate) fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The identity of a process, as other processes can recognise it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProcessIdentity {
    pub(crate) id: u32,
    /// Ticks from the start of the system to the start of the process; 0 where this is unknown. A process id may be
    /// used again, but never together with the same start.
    pub(crate) began: i64,
    /// The boot and the namespace in which the process id is valid; empty where these are unknown.
    pub(crate) space: String,
}

/// Returns the identity of this process.
pub(crate) fn this_process() -> &'static ProcessIdentity {
    static THIS: LazyLock<ProcessIdentity> = LazyLock::new(|| {
        let id = std::process::id();
        ProcessIdentity {
            id,
            began: began(id).unwrap_or(0),
            space: space().unwrap_or_default(),
        }
    });
    &THIS
}

/// Whether that process still exists and is running. Returns `None` where the sandbox hides other processes.
pub(crate) fn is_alive(process: &ProcessIdentity) -> Option<bool> {
    let this = this_process();
    if this.space.is_empty() || this.space != process.space || process.began == 0 {
        return None;
    }
    Some(began(process.id) == Some(process.began))
}

/// Returns the start of a process that is running, from the 22nd field of its `stat`; the second field, in
/// parentheses, may contain anything.
fn began(id: u32) -> Option<i64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // A dead process stays listed until its parent collects it; a stopped one does nothing for now.
    let is_dead_or_stopped = matches!(fields.next()?, "Z" | "X" | "T");
    fields.nth(18)?.parse().ok().filter(|_| !is_dead_or_stopped)
}

fn space() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_differs_from_a_later_one_with_the_same_id() {
        let this = this_process();
        assert_eq!(is_alive(this), Some(true));
        let namesake = ProcessIdentity {
            began: this.began + 1,
            ..this.clone()
        };
        assert_eq!(is_alive(&namesake), Some(false));
        let elsewhere = ProcessIdentity {
            space: "another boot".to_owned(),
            ..this.clone()
        };
        assert_eq!(is_alive(&elsewhere), None);
    }
}
