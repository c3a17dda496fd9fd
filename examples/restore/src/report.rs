//! The report at the end: a few lines for a person, or one line of JSON for a program.

use std::time::Duration;

use keyferry::{DownloadSummary, ExportSummary, RunFailure, RunOutcome, RunReport};

use crate::exit;

/// Returns the name of an outcome in JSON.
pub(crate) fn outcome_name(outcome: &RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Completed { .. } => "completed",
        RunOutcome::Short { .. } => "short",
        RunOutcome::Paused { .. } => "paused",
        RunOutcome::Stopped => "stopped",
        RunOutcome::OutOfBudget => "out_of_budget",
        RunOutcome::Blocked { .. } => "blocked",
        RunOutcome::NeedsUnlock { .. } => "needs_unlock",
        RunOutcome::AlreadyRunning { .. } => "already_running",
        RunOutcome::Failed {
            reason: RunFailure::NoBackup,
        } => "no_backup",
        RunOutcome::Failed {
            reason: RunFailure::NotSignedIn { .. },
        } => "not_signed_in",
        _ => "failed",
    }
}

pub(crate) fn exit_code(outcome: &RunOutcome) -> u8 {
    match outcome {
        RunOutcome::Completed { .. } => exit::COMPLETE,
        RunOutcome::Short { .. } => exit::SHORT,
        RunOutcome::Failed {
            reason: RunFailure::NoBackup,
        } => exit::NO_BACKUP,
        RunOutcome::Failed {
            reason: RunFailure::NotSignedIn { .. },
        } => exit::NOT_SIGNED_IN,
        RunOutcome::Failed { .. } => exit::FAILED,
        _ => exit::NOT_FINISHED,
    }
}

pub(crate) fn json(outcome: &str, summary: &DownloadSummary, elapsed: Duration, fetched: Option<Duration>) -> String {
    let failures: serde_json::Map<_, _> = summary
        .failures
        .iter()
        .map(|failure| (failure.reason.as_str().to_owned(), failure.count.into()))
        .collect();
    serde_json::json!({
        "outcome": outcome,
        "version": summary.version,
        "keys_total": summary.total,
        "fetched": summary.fetched,
        "opened": summary.opened,
        "delivered": summary.delivered,
        "failed": summary.failed,
        "failures": failures,
        "missing": summary.missing,
        "locked": summary.locked,
        "conflicts": summary.conflicts,
        "refused": summary.refused,
        "rooms": summary.rooms,
        "bytes_downloaded": summary.bytes_downloaded,
        "elapsed_ms": elapsed.as_millis() as u64,
        "first_fetch_done_ms": fetched.map(|after| after.as_millis() as u64),
    })
    .to_string()
}

pub(crate) fn text(report: &RunReport, elapsed: Duration, with_store: bool) -> String {
    let summary = &report.summary;
    let mut lines = vec![match &report.outcome {
        RunOutcome::Completed { .. } if report.every_key_is_here => format!(
            "Every room key of the backup was restored in {:.1} s.",
            elapsed.as_secs_f64()
        ),
        RunOutcome::Completed { .. } => "Done, but not every key is available: see below.".to_owned(),
        RunOutcome::Short { versions } => {
            let missing: u64 = versions.iter().map(|version| version.missing).sum();
            format!("The server counts {missing} keys that it does not return. All that it returns is here.")
        }
        RunOutcome::NeedsUnlock { versions } => format!(
            "All that the server returns is here, but some of it is locked: the recovery key of version {} is missing.",
            versions.join(", ")
        ),
        RunOutcome::Paused { .. } | RunOutcome::OutOfBudget => "Paused. Run the same command to continue.".to_owned(),
        RunOutcome::Blocked { reason, .. } => format!("Not finished: {reason:?}. Run the same command later."),
        other => format!("Not finished: {}.", failure_text(other)),
    }];
    if let Some(version) = &summary.version {
        lines.push(format!("  backup version   {version}"));
        lines.push(format!(
            "  keys             {} of {} fetched, {} opened",
            summary.fetched, summary.total, summary.opened
        ));
        if with_store {
            lines.push(format!(
                "  crypto store     {} taken, {} refused",
                summary.delivered, summary.refused
            ));
        }
        lines.push(format!("  rooms            {}", summary.rooms));
        lines.push(format!(
            "  downloaded       {:.1} MB",
            summary.bytes_downloaded as f64 / 1e6
        ));
        for failure in &summary.failures {
            lines.push(format!(
                "  unusable         {} ({})",
                failure.count,
                failure.reason.as_str()
            ));
        }
        for (name, count) in [
            ("missing", summary.missing),
            ("locked", summary.locked),
            ("held back", summary.conflicts),
        ] {
            if count > 0 {
                lines.push(format!("  {name:<16} {count}"));
            }
        }
    }
    lines.join("\n")
}

/// Describes what an export contains, and what it leaves out.
pub(crate) fn exported(export: &ExportSummary, report: &RunReport) -> String {
    let left_out = [
        ("cannot be used", export.failed),
        ("are locked", export.locked),
        ("are held back", export.conflicts),
        (
            "were not fetched",
            report.summary.total.saturating_sub(report.summary.fetched),
        ),
    ];
    let mut text = format!("{} keys exported", export.exported);
    for (what, count) in left_out.into_iter().filter(|(_, count)| *count > 0) {
        text.push_str(&format!(", {count} {what}"));
    }
    text + "."
}

fn failure_text(outcome: &RunOutcome) -> String {
    match outcome {
        RunOutcome::Failed {
            reason: RunFailure::NoBackup,
        } => "this account has no key backup".to_owned(),
        RunOutcome::Failed {
            reason: RunFailure::NotSignedIn { .. },
        } => "the access token is not accepted".to_owned(),
        RunOutcome::Failed { reason } => format!("{reason:?}"),
        other => format!("{other:?}"),
    }
}
