//! Decides what background work may do right now, from the causes that hold it, the app's conditions and the user's
//! commands. Shared by all runs of a client.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::{
    cause::{CauseSet, PauseCause, Work, WorkSet},
    conditions::Conditions,
};
use crate::locked::locked;
use crate::vault::{UserIntent, VaultError};

/// Everything that holds work back at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restraints {
    causes: CauseSet,
    conditions: Conditions,
    /// Increases with every change of the app's policy, which includes the conditions.
    policy_changes: u64,
    stopped: bool,
    shut_down: bool,
    /// `None` until the server has said in this run how much there is.
    bytes_left: Option<u64>,
    /// Increases whenever something is learnt about the user's intent, so that an older read of the vault is ignored.
    intent_epoch: u64,
    /// Whether a command that the user gave here is not yet in the vault.
    intent_unwritten: bool,
}

impl Restraints {
    pub(crate) fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.shut_down
    }

    /// Returns the causes that count under the current conditions.
    pub(crate) fn causes(&self) -> CauseSet {
        self.causes.in_force(&self.conditions, self.bytes_left)
    }

    /// Returns which of these kinds of work may go on.
    pub(crate) fn allowed(&self, works: WorkSet) -> WorkSet {
        if self.stopped || self.shut_down {
            return WorkSet::default();
        }
        works.without_stopped(self.causes())
    }

    /// Whether any of these kinds of work may go on once the OS wakes the app. `InBackground` does not count: it says
    /// that the app has no background task now, and a wake-up is one.
    pub(crate) fn allows_when_woken(&self, works: WorkSet) -> bool {
        let woken = Self {
            causes: self.causes.without(PauseCause::InBackground),
            ..*self
        };
        !woken.allowed(works).is_empty()
    }

    /// Whether a phase that began under `before` must end.
    pub(crate) fn needs_new_phase(&self, before: &Self, works: WorkSet) -> bool {
        self.allowed(works) != before.allowed(works) || self.policy_changes != before.policy_changes
    }

    /// Whether the host reports a metered network.
    pub(crate) fn is_metered(&self) -> bool {
        self.causes.has(PauseCause::MeteredNetwork)
    }

    /// Whether none of these kinds of work is allowed, even if the user has resumed the download in another process.
    pub(crate) fn is_held(&self, works: WorkSet) -> bool {
        if self.intent_unwritten {
            return self.allowed(works).is_empty();
        }
        let resumed = Self {
            causes: self.causes.without(PauseCause::User),
            stopped: false,
            ..*self
        };
        resumed.allowed(works).is_empty()
    }

    /// Whether this kind of work is allowed outside a run.
    pub(crate) fn allows(&self, work: Work) -> bool {
        !self.shut_down && !self.causes().stop(work)
    }
}

impl Restraints {
    fn follow(&mut self, intent: UserIntent) {
        self.stopped = intent == UserIntent::Stop;
        self.causes = match intent {
            UserIntent::Pause => self.causes.with(PauseCause::User),
            UserIntent::Download | UserIntent::Stop => self.causes.without(PauseCause::User),
        };
    }
}

/// A command of the user: pause, resume, stop or start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserCommand {
    pub(crate) intent: UserIntent,
    /// Whether it also restarts a download that the user has stopped.
    pub(crate) restarts_stopped: bool,
}

/// The user's commands that were given here and are not yet in the vault.
#[derive(Debug, Default)]
struct UnwrittenCommands {
    /// In the order in which they were given.
    words: Mutex<Vec<UserCommand>>,
    /// Held while they are written.
    turn: Mutex<()>,
}

/// Holds the restraints of a client, changes them, and lets runs wait for changes.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    restraints: Arc<watch::Sender<Restraints>>,
    unwritten: Arc<UnwrittenCommands>,
}

impl Gate {
    pub(crate) fn new(conditions: Conditions) -> Self {
        let restraints = Restraints {
            conditions,
            ..Restraints::default()
        };
        Self {
            restraints: Arc::new(watch::Sender::new(restraints)),
            unwritten: Arc::default(),
        }
    }

    pub(crate) fn now(&self) -> Restraints {
        *self.restraints.borrow()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<Restraints> {
        self.restraints.subscribe()
    }

    pub(crate) fn hold(&self, cause: PauseCause) {
        self.change(|restraints| restraints.causes = restraints.causes.with(cause));
    }

    pub(crate) fn release(&self, cause: PauseCause) {
        self.change(|restraints| restraints.causes = restraints.causes.without(cause));
    }

    pub(crate) fn shut_down(&self) {
        self.change(|restraints| restraints.shut_down = true);
    }

    /// Takes over a changed policy of the app: a phase under way ends, and the next one begins under the new policy.
    pub(crate) fn set_conditions(&self, conditions: Conditions) {
        self.change(|restraints| {
            restraints.conditions = conditions;
            restraints.policy_changes += 1;
        });
    }

    pub(crate) fn set_bytes_left(&self, bytes: u64) {
        self.change(|restraints| restraints.bytes_left = Some(bytes));
    }

    /// Forgets how much is left: the run that is beginning asks the server again.
    pub(crate) fn forget_bytes_left(&self) {
        self.change(|restraints| restraints.bytes_left = None);
    }

    /// Begins to read the user's intent from the vault.
    pub(crate) fn begin_read(&self) -> IntentRead {
        IntentRead {
            gate: self.clone(),
            epoch: self.now().intent_epoch,
        }
    }

    /// Adopts a command that the user gives here. It takes effect at once and must then be written.
    pub(crate) fn follow_user(&self, word: UserCommand) {
        let mut words = locked(&self.unwritten.words);
        words.push(word);
        self.change(|restraints| {
            restraints.intent_epoch += 1;
            restraints.intent_unwritten = true;
            restraints.follow(word.intent);
        });
    }

    /// Writes the user's commands in the order in which they were given, including those of other callers. `write`
    /// returns the intent that is then in force. Blocks.
    pub(crate) fn write_user_commands(
        &self,
        mut write: impl FnMut(UserCommand) -> Result<UserIntent, VaultError>,
    ) -> Result<(), VaultError> {
        let _turn = locked(&self.unwritten.turn);
        let words = locked(&self.unwritten.words).clone();
        let mut kept = None;
        for word in &words {
            kept = Some(write(*word)?);
        }
        let mut unwritten = locked(&self.unwritten.words);
        unwritten.drain(..words.len());
        // A command given in the meantime stays in force, and its own caller writes it.
        if let (Some(intent), true) = (kept, unwritten.is_empty()) {
            self.change(|restraints| {
                restraints.intent_epoch += 1;
                restraints.intent_unwritten = false;
                restraints.follow(intent);
            });
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce(&mut Restraints)) {
        self.restraints.send_if_modified(|restraints| {
            let before = *restraints;
            change(restraints);
            *restraints != before
        });
    }
}

/// A read of the user's intent that is under way.
pub(crate) struct IntentRead {
    gate: Gate,
    epoch: u64,
}

impl IntentRead {
    /// Adopts the intent that the vault had, unless something newer was learnt since the read began.
    pub(crate) fn end(self, intent: UserIntent) {
        self.gate.change(|restraints| {
            let mut followed = *restraints;
            followed.follow(intent);
            if restraints.intent_epoch == self.epoch && !restraints.intent_unwritten && followed != *restraints {
                followed.intent_epoch += 1;
                *restraints = followed;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: UserCommand = UserCommand {
        intent: UserIntent::Pause,
        restarts_stopped: false,
    };
    const RESUME: UserCommand = UserCommand {
        intent: UserIntent::Download,
        restarts_stopped: false,
    };

    fn is_paused(gate: &Gate) -> bool {
        gate.now().causes().has(PauseCause::User)
    }

    #[test]
    fn a_late_read_does_not_undo_a_newer_command() {
        let gate = Gate::new(Conditions::default());
        let write = |gate: &Gate| gate.write_user_commands(|word| Ok(word.intent)).expect("it is written");
        // Begun before the user gave the command, while it was being written, and before another read.
        let before = [gate.begin_read(), gate.begin_read()];
        gate.follow_user(PAUSE);
        let meanwhile = gate.begin_read();
        let [first, second] = before;
        first.end(UserIntent::Download);
        assert!(is_paused(&gate));
        write(&gate);
        for read in [second, meanwhile] {
            read.end(UserIntent::Download);
            assert!(is_paused(&gate));
        }
        let (one, other) = (gate.begin_read(), gate.begin_read());
        one.end(UserIntent::Stop);
        other.end(UserIntent::Pause);
        assert!(gate.now().is_stopped());
        gate.begin_read().end(UserIntent::Download);
        assert!(!gate.now().is_stopped() && !is_paused(&gate));
    }

    #[test]
    fn user_commands_are_written_in_order_and_again_after_a_failure() {
        let gate = Gate::new(Conditions::default());
        gate.follow_user(PAUSE);
        assert!(gate.write_user_commands(|_| Err(VaultError::Busy)).is_err());
        assert!(is_paused(&gate));
        gate.follow_user(RESUME);
        let mut written = Vec::new();
        gate.write_user_commands(|word| {
            if written.is_empty() {
                // A command given while another one is being written.
                gate.follow_user(PAUSE);
            }
            written.push(word.intent);
            Ok(word.intent)
        })
        .expect("it is written");
        assert_eq!(written, [UserIntent::Pause, UserIntent::Download]);
        assert!(is_paused(&gate), "what was said last holds");
        gate.write_user_commands(|word| {
            written.push(word.intent);
            Ok(word.intent)
        })
        .expect("it is written");
        assert_eq!(written[2..], [UserIntent::Pause]);
        assert!(is_paused(&gate));
    }
}
