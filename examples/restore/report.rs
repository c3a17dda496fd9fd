//! What is said at the end: a few lines for a person, or one of JSON for a program.

use std::time::Duration;

use keyferry::{DownloadSummary, RunFailure, RunOutcome, RunReport};

use crate::exit;

/// The name of an outcome in JSON.
pub(crate) fn outcome_name(outcome: &RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Completed => "completed",
        RunOutcome::Paused { .. } => "paused",
        RunOutcome::Stopped => "stopped",
        RunOutcome::OutOfBudget => "out_of_budget",
        RunOutcome::Blocked { .. } => "blocked",
        RunOutcome::NeedsUnlock => "needs_unlock",
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
        RunOutcome::Completed => exit::COMPLETE,
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
        RunOutcome::Completed => format!(
            "Every room key of the backup is here, after {:.1} s.",
            elapsed.as_secs_f64()
        ),
        RunOutcome::NeedsUnlock => "Everything is here, still locked: the recovery key is missing.".to_owned(),
        RunOutcome::Paused { .. } | RunOutcome::OutOfBudget => "Paused. The same command goes on from here.".to_owned(),
        RunOutcome::Blocked { reason, .. } => format!("Not finished: {reason:?}. Try the same command later."),
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
        if summary.conflicts > 0 {
            lines.push(format!("  in conflict      {}", summary.conflicts));
        }
    }
    lines.join("\n")
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
