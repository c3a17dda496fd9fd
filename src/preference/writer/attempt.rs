//! One attempt to write a wish: the server is read, and what is due is written, until nothing is or something prevents it.

use tokio::time::Instant;

use super::{EndedWish, Intent, PreferenceWriter, Turn};
use crate::{
    homeserver::{HomeserverError, Meaning, Retry},
    job::AccessError,
    preference::{
        PreferenceForm, PreferenceWrite,
        ask::{read_both, until_deadline},
        ledger::{Ledger, NextStep, Wish, WishNumber},
        parties::Parties,
        stored::{change, read_ledger},
        wire::Reading,
    },
};

/// An attempt under way.
pub(super) struct Attempt<'a> {
    pub(super) writer: &'a PreferenceWriter,
    pub(super) parties: &'a Parties,
    pub(super) write_unstable: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) retry: Retry,
    /// The number of the wish that it dealt with last.
    pub(super) about: Option<WishNumber>,
}

/// The result of one write.
enum Put {
    Written(Ledger),
    /// The ledger has changed meanwhile: this write is not the next step any more.
    NotDue,
    Failed(HomeserverError),
    OutOfTime,
}

impl Attempt<'_> {
    /// Reads the server, and writes what is due then. Returns how the attempt has ended; `None` if the server must be read
    /// again.
    pub(super) async fn read_and_write(
        &mut self,
        intent: &mut Intent,
        last: &mut Option<EndedWish>,
    ) -> Result<Option<Turn>, AccessError> {
        let before = read_ledger(&self.parties.jobs).await?;
        if is_over(*intent, before) {
            return Ok(Some(Turn::Ended(write_of(self.about, before, last.as_ref()))));
        }
        self.about = before.wish.map(|wish| wish.number).or(self.about);
        let reading = match until_deadline(self.deadline, read_both(&self.parties.homeserver)).await {
            Some(Ok(reading)) => reading,
            Some(Err(error)) => return Ok(self.wait(error).await),
            None => return Ok(Some(Turn::OutOfTime(self.about))),
        };
        let wanted = *intent;
        let noted = change(&self.parties.jobs, move |ledger| {
            // If a sync has brought something meanwhile, that may be newer.
            (ledger.seen == before.seen).then(|| note(ledger, reading, wanted))
        });
        let Some((ledger, chosen)) = noted.await? else {
            return Ok(None);
        };
        if let Intent::Choose(_) = intent {
            match chosen {
                Some(number) => *intent = Intent::Made(number),
                // There is another choice by now.
                None => return Ok(Some(Turn::Ended(None))),
            }
        }
        self.write_steps(ledger, last).await
    }

    /// Does what the ledger says, step by step.
    async fn write_steps(
        &mut self,
        mut ledger: Ledger,
        last: &mut Option<EndedWish>,
    ) -> Result<Option<Turn>, AccessError> {
        while let Some(wish) = ledger.wish {
            if self.about.is_some_and(|about| about != wish.number) {
                return Ok(None);
            }
            self.about = Some(wish.number);
            ledger = match ledger.next_step(self.write_unstable) {
                NextStep::AskHost(theirs) => return Ok(Some(Turn::AskHost(wish, theirs))),
                NextStep::Write(form) => match self.put(wish, form).await? {
                    Put::Written(ledger) => ledger,
                    Put::NotDue => return Ok(None),
                    Put::OutOfTime => return Ok(Some(Turn::OutOfTime(self.about))),
                    Put::Failed(error) => return Ok(self.wait(error).await),
                },
                NextStep::GiveWay(theirs) => {
                    end(self.parties, wish, PreferenceWrite::TheirsTaken { theirs }, last).await?
                }
                NextStep::Nothing | NextStep::Done => end(self.parties, wish, PreferenceWrite::Written, last).await?,
            };
        }
        Ok(None)
    }

    /// Waits until the failed request may be made again. Returns how the attempt has ended if it may not.
    async fn wait(&mut self, error: HomeserverError) -> Option<Turn> {
        match until_deadline(self.deadline, self.retry.wait(error)).await {
            Some(Ok(())) => None,
            Some(Err(given_up)) => Some(Turn::Failed(self.about, given_up.error)),
            None => Some(Turn::OutOfTime(self.about)),
        }
    }

    async fn put(&self, wish: Wish, form: PreferenceForm) -> Result<Put, AccessError> {
        let write_unstable = self.write_unstable;
        let is_due = change(&self.parties.jobs, move |ledger| {
            ledger.mark_attempted(wish, form, write_unstable)
        })
        .await?;
        if !is_due {
            return Ok(Put::NotDue);
        }
        self.writer.own_writes().insert((form, wish.enabled));
        let content = form.content(wish.enabled);
        let put = self.parties.homeserver.put_account_data(form.event_type(), &content);
        match until_deadline(self.deadline, put).await {
            Some(Ok(())) => {
                self.writer.news.count_write();
                let wrote = change(&self.parties.jobs, move |ledger| {
                    ledger.mark_written(form, wish.enabled);
                    *ledger
                });
                Ok(Put::Written(wrote.await?))
            }
            Some(Err(error)) => {
                if !matches!(error.meaning(), Meaning::Passes | Meaning::ServerFault) {
                    change(&self.parties.jobs, move |ledger| ledger.mark_refused(form)).await?;
                }
                Ok(Put::Failed(error))
            }
            None => Ok(Put::OutOfTime),
        }
    }
}

async fn end(
    parties: &Parties,
    wish: Wish,
    write: PreferenceWrite,
    last: &mut Option<EndedWish>,
) -> Result<Ledger, AccessError> {
    let (ended, ledger) = change(&parties.jobs, move |ledger| (ledger.end_wish(wish.number), *ledger)).await?;
    if ended {
        *last = Some(EndedWish {
            number: wish.number,
            write,
        });
    }
    Ok(ledger)
}

/// Notes both readings. Returns the ledger, and the number of the wish that the policy made from them, if it made
/// one.
fn note(ledger: &mut Ledger, reading: Reading, intent: Intent) -> (Ledger, Option<WishNumber>) {
    ledger.observe_all(reading);
    ledger.first_sight_is_told();
    let chosen = match intent {
        Intent::Choose(enabled) => ledger.choose(enabled),
        Intent::Made(number) => {
            ledger.expect_if_unknown(number);
            None
        }
        Intent::Flush => None,
    };
    (*ledger, chosen)
}

/// Whether nothing is left to do for this intent.
fn is_over(intent: Intent, ledger: Ledger) -> bool {
    match (intent, ledger.wish) {
        (Intent::Choose(_), _) => false,
        (_, None) => true,
        (Intent::Made(made), Some(wish)) => wish.number > made,
        (Intent::Flush, Some(_)) => false,
    }
}

/// Returns how the wish of number `about` has ended, which this turn dealt with last; `None` if it dealt with none.
fn write_of(about: Option<WishNumber>, ledger: Ledger, last: Option<&EndedWish>) -> Option<PreferenceWrite> {
    let about = about?;
    match last {
        Some(last) if last.number == about => Some(last.write.clone()),
        Some(last) if last.number > about => Some(PreferenceWrite::Superseded),
        _ => ledger.wish.map(|_| PreferenceWrite::Superseded),
    }
}
