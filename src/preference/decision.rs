//! Decides what to do about backups at sign-in: a pure function of what the account says and what the app wants.
//!
//! `docs/preference.md` has the function as a table; a test compares the two.

use super::wire::{PreferenceValue, SharedPreference};

/// How an app takes part in the backup preference (MSC4287). Set it once, before the user signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[uniffi::export(Debug)]
pub enum PreferencePolicy {
    /// Reads and writes the preference.
    TakePart {
        /// What to do at sign-in if the account has a value.
        determined: DeterminedPolicy,
        /// What to do at sign-in if the account has no value.
        undetermined: UndeterminedPolicy,
        /// Whether to write the unstable form as well as the stable one, for clients from before 2026. Both forms are
        /// always read.
        write_unstable: bool,
    },
    /// Neither reads nor writes the preference: every call that would do so fails with `AccessError.NotConfigured`,
    /// and no request is made.
    OptOut,
}

impl Default for PreferencePolicy {
    /// Follows the account's value, asks the user if there is no value, and writes both forms.
    fn default() -> Self {
        Self::TakePart {
            determined: DeterminedPolicy::Follow,
            undetermined: UndeterminedPolicy::AskUser,
            write_unstable: true,
        }
    }
}

/// What to do at sign-in if the account has a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum DeterminedPolicy {
    /// Follow the value, and tell the user.
    Follow,
    /// Ask the user, with the value as the default: account data is not encrypted, so a server can invent a value.
    Confirm,
}

/// What to do at sign-in if the account has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
pub enum UndeterminedPolicy {
    /// Choose backups on, and write that to account data.
    ChooseOn,
    /// Choose backups off, and write that to account data.
    ChooseOff,
    /// Ask the user, and write the answer with `set_enabled`.
    AskUser,
    /// Leave backups off, and write nothing.
    LeaveOff,
}

/// Why a `SignInDecision` is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, uniffi::Enum)]
#[non_exhaustive]
pub enum DecisionReason {
    /// The account has a value, and the decision follows it.
    FollowsValue,
    /// The account has a value, and the user should confirm it: ask them, with that value as the default.
    ValueToConfirm,
    /// The account had no value, so the policy has chosen one. `SignInDecision.write` says whether it is written.
    ChosenByPolicy,
    /// The account has no value, and the user must choose.
    UserHasToChoose,
    /// The account has no value, and the policy leaves backups off.
    LeftOff,
    /// The user made a choice on this device that had not been written yet.
    ChosenHere,
    /// The user made a choice on this device that is not written yet, and another device has chosen the opposite
    /// since. Ask the user, with the account's value as the default.
    ChoicesDiffer,
}

/// The part of a `SignInDecision` that is decided without asking or writing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) backups: PreferenceValue,
    pub(crate) reason: DecisionReason,
    pub(crate) ask_user: bool,
    /// The value to write to account data.
    pub(crate) write: Option<bool>,
}

/// A choice that was made on this device and is not written yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChosenHere {
    pub(crate) enabled: bool,
    pub(crate) by_user: bool,
}

/// Returns the decision if this device and another one have made opposite choices: the user must be asked.
pub(crate) fn choices_differ(theirs: SharedPreference) -> Decision {
    Decision {
        backups: theirs.value,
        reason: DecisionReason::ChoicesDiffer,
        ask_user: true,
        write: None,
    }
}

/// Decides whether backups stay on, from the account's value, the app's policy, and a choice on this device that is
/// not written yet.
pub(crate) fn decide(
    determined: DeterminedPolicy,
    undetermined: UndeterminedPolicy,
    shared: SharedPreference,
    chosen_here: Option<ChosenHere>,
) -> Decision {
    use PreferenceValue::{Disabled, Undetermined};
    let decision = |backups, reason| Decision {
        backups,
        reason,
        ask_user: matches!(
            reason,
            DecisionReason::ValueToConfirm | DecisionReason::UserHasToChoose | DecisionReason::ChoicesDiffer
        ),
        write: None,
    };
    if let Some(ChosenHere { enabled, by_user: true }) = chosen_here {
        return Decision {
            write: Some(enabled),
            ..decision(PreferenceValue::of(enabled), DecisionReason::ChosenHere)
        };
    }
    let chosen = |enabled| Decision {
        write: Some(enabled),
        ..decision(PreferenceValue::of(enabled), DecisionReason::ChosenByPolicy)
    };
    if shared.value == Undetermined {
        if let Some(ChosenHere { enabled, .. }) = chosen_here {
            return chosen(enabled);
        }
        return match undetermined {
            UndeterminedPolicy::ChooseOn => chosen(true),
            UndeterminedPolicy::ChooseOff => chosen(false),
            UndeterminedPolicy::AskUser => decision(Undetermined, DecisionReason::UserHasToChoose),
            UndeterminedPolicy::LeaveOff => decision(Disabled, DecisionReason::LeftOff),
        };
    }
    // A choice of the policy that is not written yet gives way to the account's value.
    match determined {
        DeterminedPolicy::Follow => decision(shared.value, DecisionReason::FollowsValue),
        DeterminedPolicy::Confirm => decision(shared.value, DecisionReason::ValueToConfirm),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::preference::wire::{FormReading, Reading};

    const READINGS: [(FormReading, &str); 4] = [
        (FormReading::Nothing, "nothing"),
        (FormReading::Malformed, "malformed"),
        (FormReading::Says(true), "on"),
        (FormReading::Says(false), "off"),
    ];
    const DETERMINED: [DeterminedPolicy; 2] = [DeterminedPolicy::Follow, DeterminedPolicy::Confirm];
    const UNDETERMINED: [UndeterminedPolicy; 4] = [
        UndeterminedPolicy::ChooseOn,
        UndeterminedPolicy::ChooseOff,
        UndeterminedPolicy::AskUser,
        UndeterminedPolicy::LeaveOff,
    ];

    fn cell(decision: Decision) -> String {
        let mut text = match decision.backups {
            PreferenceValue::Enabled => "on",
            PreferenceValue::Disabled => "off",
            PreferenceValue::Undetermined => "undetermined",
        }
        .to_owned();
        if decision.ask_user {
            text.push_str(", ask");
        }
        if let Some(enabled) = decision.write {
            let _ = write!(text, ", write {}", if enabled { "on" } else { "off" });
        }
        text
    }

    /// Returns the lines of the table in the docs: one for each pair of forms, with one column for each policy.
    fn table() -> String {
        let mut table = String::new();
        for (stable, stable_name) in READINGS {
            for (unstable, unstable_name) in READINGS {
                let shared = Reading { stable, unstable }.shared();
                let mut line = format!("| {stable_name} | {unstable_name} |");
                let decide = |determined, undetermined| cell(decide(determined, undetermined, shared, None));
                if shared.value == PreferenceValue::Undetermined {
                    for undetermined in UNDETERMINED {
                        for determined in DETERMINED {
                            assert_eq!(decide(determined, undetermined), decide(DETERMINED[0], undetermined));
                        }
                        let _ = write!(line, " {} |", decide(DETERMINED[0], undetermined));
                    }
                    line.push_str(" | |");
                } else {
                    line.push_str(" | | | |");
                    for determined in DETERMINED {
                        for undetermined in UNDETERMINED {
                            assert_eq!(decide(determined, undetermined), decide(determined, UNDETERMINED[0]));
                        }
                        let _ = write!(line, " {} |", decide(determined, UNDETERMINED[0]));
                    }
                }
                table.push_str(line.trim_end());
                table.push('\n');
            }
        }
        table
    }

    #[test]
    fn the_table_in_the_docs_is_every_combination() {
        let docs = include_str!("../../docs/preference.md");
        for line in table().lines() {
            assert!(
                docs.contains(line),
                "docs/preference.md lacks this line:\n{line}\nof\n{}",
                table()
            );
        }
    }

    #[test]
    fn a_wish_of_the_user_wins_and_one_of_the_policy_gives_way() {
        for (stable, _) in READINGS {
            for (unstable, _) in READINGS {
                for determined in DETERMINED {
                    for undetermined in UNDETERMINED {
                        for enabled in [true, false] {
                            let shared = Reading { stable, unstable }.shared();
                            let by_policy = decide(
                                determined,
                                undetermined,
                                shared,
                                Some(ChosenHere {
                                    enabled,
                                    by_user: false,
                                }),
                            );
                            assert_eq!(by_policy.write.is_some(), shared.value == PreferenceValue::Undetermined);
                            if let Some(theirs) = shared.value.choice() {
                                assert_eq!(by_policy.backups, PreferenceValue::of(theirs));
                            }
                            let chosen_here = ChosenHere { enabled, by_user: true };
                            let decision = decide(determined, undetermined, shared, Some(chosen_here));
                            let expected = Decision {
                                backups: PreferenceValue::of(enabled),
                                reason: DecisionReason::ChosenHere,
                                ask_user: false,
                                write: Some(enabled),
                            };
                            assert_eq!(decision, expected);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn only_a_choice_of_the_policy_is_written_and_overrules_no_value() {
        for (stable, _) in READINGS {
            for (unstable, _) in READINGS {
                for determined in DETERMINED {
                    for undetermined in UNDETERMINED {
                        let shared = Reading { stable, unstable }.shared();
                        let decision = decide(determined, undetermined, shared, None);
                        match shared.value.choice() {
                            Some(_) => assert_eq!((decision.backups, decision.write), (shared.value, None)),
                            None => assert_eq!(
                                decision.write.is_some(),
                                decision.reason == DecisionReason::ChosenByPolicy
                            ),
                        }
                    }
                }
            }
        }
    }
}
