//! What a download may do right now: the causes that hold it, the policy, and the user's word. Shared by all runs.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    DownloadPolicy, PauseCause,
    pause::{CauseSet, Work},
};
use crate::vault::UserIntent;

/// The stages that may work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub(crate) fetch: bool,
    /// And deliver: both need the decryption.
    pub(crate) open: bool,
}

impl Allowed {
    pub(crate) fn nothing(self) -> bool {
        self == Self::default()
    }

    /// Whether nothing is allowed here that is not allowed there.
    pub(crate) fn is_within(self, other: Self) -> bool {
        self.fetch <= other.fetch && self.open <= other.open
    }
}

/// The figures and marks themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restraints {
    causes: CauseSet,
    policy: DownloadPolicy,
    stopped: bool,
    shut_down: bool,
    /// `None` until the server has said in this run how much there is.
    bytes_left: Option<u64>,
    /// Rises when the user says something here: what was read before does not count any more.
    intent_epoch: u64,
    /// What the user has said here is not yet in the vault.
    intent_unwritten: bool,
}

impl Restraints {
    pub(crate) fn policy(&self) -> &DownloadPolicy {
        &self.policy
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.shut_down
    }

    /// The causes that count.
    pub(crate) fn causes(&self) -> CauseSet {
        self.causes.in_force(&self.policy, self.bytes_left)
    }

    pub(crate) fn allowed(&self) -> Allowed {
        let (causes, runs) = (self.causes(), !self.stopped && !self.shut_down);
        Allowed {
            fetch: runs && !causes.stop(Work::Fetch),
            open: runs && !causes.stop(Work::Open),
        }
    }

    /// Whether the network is metered, as far as the host says.
    pub(crate) fn is_metered(&self) -> bool {
        self.causes.has(PauseCause::MeteredNetwork)
    }

    /// Whether nothing is allowed, whatever the user may have said elsewhere.
    pub(crate) fn is_held(&self) -> bool {
        if self.intent_unwritten {
            return self.allowed().nothing();
        }
        let resumed = Self {
            causes: self.causes.without(PauseCause::User),
            stopped: false,
            ..*self
        };
        resumed.allowed().nothing()
    }

    /// Whether that may be asked for beside a run.
    pub(crate) fn allows(&self, work: Work) -> bool {
        !self.shut_down && !self.causes().stop(work)
    }
}

/// Where they are kept, changed and waited for.
#[derive(Clone, Debug)]
pub(crate) struct Control(Arc<watch::Sender<Restraints>>);

impl Control {
    pub(crate) fn new(policy: DownloadPolicy) -> Self {
        let restraints = Restraints {
            policy: policy.bounded(),
            ..Restraints::default()
        };
        Self(Arc::new(watch::Sender::new(restraints)))
    }

    pub(crate) fn now(&self) -> Restraints {
        *self.0.borrow()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<Restraints> {
        self.0.subscribe()
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

    pub(crate) fn set_policy(&self, policy: DownloadPolicy) {
        self.change(|restraints| restraints.policy = policy.bounded());
    }

    pub(crate) fn left_to_fetch(&self, bytes: u64) {
        self.change(|restraints| restraints.bytes_left = Some(bytes));
    }

    /// How much is left is to be asked anew.
    pub(crate) fn a_run_begins(&self) {
        self.change(|restraints| restraints.bytes_left = None);
    }

    pub(crate) fn intent_epoch(&self) -> u64 {
        self.now().intent_epoch
    }

    /// Takes over what the vault says, unless the user has said something here since `epoch`.
    pub(crate) fn follow_read(&self, intent: UserIntent, epoch: u64) {
        let now = self.now();
        if now.intent_epoch == epoch && !now.intent_unwritten {
            self.follow(intent);
        }
    }

    /// The user says so here; it is to be written.
    pub(crate) fn follow_user(&self, intent: UserIntent) {
        self.change(|restraints| {
            restraints.intent_epoch += 1;
            restraints.intent_unwritten = true;
        });
        self.follow(intent);
    }

    /// The vault has it now, as this.
    pub(crate) fn intent_is_written(&self, intent: UserIntent) {
        self.change(|restraints| restraints.intent_unwritten = false);
        self.follow(intent);
    }

    fn follow(&self, intent: UserIntent) {
        self.change(|restraints| {
            restraints.stopped = intent == UserIntent::Stop;
            restraints.causes = match intent {
                UserIntent::Pause => restraints.causes.with(PauseCause::User),
                UserIntent::Download | UserIntent::Stop => restraints.causes.without(PauseCause::User),
            };
        });
    }

    fn change(&self, change: impl FnOnce(&mut Restraints)) {
        self.0.send_if_modified(|restraints| {
            let before = *restraints;
            change(restraints);
            *restraints != before
        });
    }
}
