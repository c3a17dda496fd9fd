//! Which account data that comes by sync is only the echo of what we wrote.
//!
//! Echoes may come before our request has its answer, and late: on, then off, while the last thing written is off. Told
//! as changes they would be two lies. In memory only: after a restart a sync gives the latest value, which is known.

use std::collections::VecDeque;

use super::wire::{FormReading, PreferenceForm};

/// Writes whose echo is waited for; an app that passes no account data on has all of them there.
const MOST: usize = 8;

/// What we wrote and have not seen come back, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct OwnWrites {
    waiting: VecDeque<(PreferenceForm, bool)>,
}

impl OwnWrites {
    /// To be called before the request is made.
    pub(crate) fn is_writing(&mut self, form: PreferenceForm, enabled: bool) {
        if self.waiting.len() == MOST {
            self.waiting.pop_front();
        }
        self.waiting.push_back((form, enabled));
    }

    /// True if this is what we wrote. Anything else was written by somebody else: no earlier write of ours is to come.
    pub(crate) fn takes(&mut self, form: PreferenceForm, reading: FormReading) -> bool {
        let echo = self
            .waiting
            .iter()
            .position(|(written, enabled)| *written == form && reading == FormReading::Says(*enabled));
        // What was written to this form up to then has been seen, or overtaken.
        let upto = echo.map_or(self.waiting.len(), |position| position + 1);
        let mut position = 0;
        self.waiting.retain(|(written, _)| {
            position += 1;
            *written != form || position > upto
        });
        echo.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FormReading::{Nothing, Says};
    use PreferenceForm::{Stable, Unstable};

    #[test]
    fn late_echoes_are_echoes_each_once() {
        let mut own = OwnWrites::default();
        own.is_writing(Stable, true);
        own.is_writing(Unstable, true);
        own.is_writing(Stable, false);
        own.is_writing(Unstable, false);
        assert!(own.takes(Stable, Says(true)));
        assert!(own.takes(Stable, Says(false)));
        assert!(!own.takes(Stable, Says(true)), "somebody else turned it on again");
        assert!(own.takes(Unstable, Says(false)), "a sync may skip values");
        assert!(!own.takes(Unstable, Says(true)));
    }

    #[test]
    fn a_foreign_value_ends_the_waiting() {
        let mut own = OwnWrites::default();
        own.is_writing(Stable, true);
        assert!(!own.takes(Stable, Says(false)));
        assert!(!own.takes(Stable, Says(true)), "it is a change back, not an echo");
        own.is_writing(Stable, true);
        assert!(!own.takes(Stable, Nothing));
    }

    #[test]
    fn what_nobody_echoes_does_not_pile_up() {
        let mut own = OwnWrites::default();
        for _ in 0..100 {
            own.is_writing(Stable, true);
        }
        assert_eq!(own.waiting.len(), MOST);
    }
}
